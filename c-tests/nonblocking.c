// O_NONBLOCK set by every way there is, and what each call says instead of waiting.
#include "api.h"

static char buf[1 << 16];

int main(void) {
  struct sockaddr_in where;
  int a, b, on = 1, off = 0;
  PART("setting it");
  connection(&a, &b);
  SAY("at first %d", !!(fcntl(a, F_GETFL) & O_NONBLOCK));
  SHOW(ioctl(a, FIONBIO, &on));
  SAY("FIONBIO 1: %d", !!(fcntl(a, F_GETFL) & O_NONBLOCK));
  SHOW(recv(a, buf, 1, 0));
  SHOW(ioctl(a, FIONBIO, &off));
  SAY("FIONBIO 0: %d", !!(fcntl(a, F_GETFL) & O_NONBLOCK));
  SHOW(recv(a, buf, 1, MSG_DONTWAIT));
  SHOW(fcntl(a, F_SETFL, O_NONBLOCK));
  SAY("F_SETFL: %d, access mode %d", !!(fcntl(a, F_GETFL) & O_NONBLOCK), fcntl(a, F_GETFL) & O_ACCMODE);

  PART("what says it");
  SHOW(recv(a, buf, 1, 0));
  SHOW(recv(a, buf, 1, MSG_WAITALL));
  SHOW(read(a, buf, 1));
  SHOW(recvfrom(a, buf, 1, 0, NULL, NULL));
  struct iovec io = {buf, sizeof buf};
  struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
  SHOW(recvmsg(a, &m, 0));
  SHOW(readv(a, &io, 1));
  int l = listener(5, &where);
  nonblocking(l);
  SHOW(accept(l, NULL, NULL));
  int d = datagram(NULL);
  nonblocking(d);
  SHOW(recv(d, buf, 1, 0));

  PART("a full buffer");
  long total = 0, n;
  while ((n = send(a, buf, sizeof buf, 0)) > 0 || (usleep(20000), n = send(a, buf, sizeof buf, 0)) > 0) total += n;
  SAY("took some %d", total > 0);
  SHOW(send(a, buf, 1, 0));
  SHOW(write(a, buf, 1));
  SHOW(writev(a, &io, 1));
  SHOW(sendmsg(a, &m, 0));
  long back = 0;
  while (back < total) back += MUST(recv(b, buf, sizeof buf, 0));
  SAY("all of it came %d", back == total);
  settled(a, POLLOUT);
  SHOW(send(a, buf, 1, 0));

  PART("partial sends");
  recv_all(b, buf, 1);
  size_t huge = 64 << 20;
  char *big = calloc(1, huge);
  n = send(a, big, huge, 0);
  SAY("part of it %d", n > 0 && (size_t)n < huge);
  total = n, back = 0;
  while (back < total) back += MUST(recv(b, buf, sizeof buf, 0));
  SAY("that part came %d", back == total);
  free(big);

  PART("where no packet can go");
  // The last may stand for a network's broadcast address.
  const char *const nowhere[] = {"192.0.2.1",       "10.1.2.3",        "224.0.0.1",
                                 "255.255.255.255", "127.255.255.255", "192.0.2.255"};
  for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
    struct sockaddr_in far = at(nowhere[i], 9);
    int s = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    SAY("%s", nowhere[i]);
    SHOW(connect(s, ADDR(far)));
    SAY("%s, %s", bits(look(s)), pending(s));
    SHOW(connect(s, ADDR(far)));
    // It is none the worse for it.
    SHOW(connect(s, ADDR(where)));
    SAY("%s", bits(settled(s, POLLOUT)));
    MUST(close(s)), MUST(close(MUST(accept(l, NULL, NULL))));
    s = MUST(socket(AF_INET, SOCK_STREAM, 0));
    SHOW(connect(s, ADDR(far)));
    MUST(close(s));
    // Told of options, and bound.
    s = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
    struct sockaddr_in here = at("127.0.0.1", 0);
    set(s, SOL_SOCKET, SO_RCVBUF, 10000);
    MUST(bind(s, ADDR(here)));
    SHOW(connect(s, ADDR(far)));
    SAY("bound to %s still, port %d", ip_of(local(s)), local(s).sin_port != 0);
    MUST(close(s));
  }

  PART("between duplicates it is shared");
  int c = MUST(dup(a));
  MUST(fcntl(c, F_SETFL, 0));
  SAY("%d", !!(fcntl(a, F_GETFL) & O_NONBLOCK));
  return 0;
}
