// TCP_INQ: recvmsg tells how much is left to be read.
#include "api.h"

#ifndef TCP_INQ
#define TCP_INQ 36
#endif

static char data[5000], control[256];

static void got(int fd, size_t len, int flags) {
  struct iovec part = {data, len};
  struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  memset(control, 0, sizeof control);
  SHOW(recvmsg(fd, &m, flags));
  SAY("control %zu, flags %x", (size_t)m.msg_controllen, m.msg_flags);
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    int left;
    memcpy(&left, CMSG_DATA(c), sizeof left);
    SAY("level %d, type %d, length %zu, left %d", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len, left);
  }
}

static void queued(int fd, int want) {
  int n = 0;
  for (long end = milliseconds() + 2000; n < want && milliseconds() < end; usleep(500)) MUST(ioctl(fd, FIONREAD, &n));
}

int main(void) {
  int a, b, v;
  socklen_t n = sizeof v;
  connection(&a, &b);
  PART("the option");
  MUST(getsockopt(b, IPPROTO_TCP, TCP_INQ, &v, &n));
  SAY("at first %d", v);
  v = 2, SHOW(setsockopt(b, IPPROTO_TCP, TCP_INQ, &v, sizeof v));
  v = -1, SHOW(setsockopt(b, IPPROTO_TCP, TCP_INQ, &v, sizeof v));
  v = 1, SHOW(setsockopt(b, IPPROTO_TCP, TCP_INQ, &v, sizeof v));
  MUST(getsockopt(b, IPPROTO_TCP, TCP_INQ, &v, &n));
  SAY("then %d", v);

  PART("what is left");
  send_all(a, data, 1000);
  queued(b, 1000);
  got(b, 100, 0);
  got(b, 100, MSG_PEEK);
  got(b, 100, MSG_TRUNC);
  got(b, 5000, 0);
  got(b, 5000, MSG_DONTWAIT);

  PART("the end counts");
  send_all(a, data, 10);
  MUST(shutdown(a, SHUT_WR));
  settled(b, POLLRDHUP);
  got(b, 4, 0);
  got(b, 6, 0);
  got(b, 6, 0);
  got(b, 6, 0);

  PART("off again");
  v = 0, SHOW(setsockopt(b, IPPROTO_TCP, TCP_INQ, &v, sizeof v));
  got(b, 6, 0);
  MUST(close(a)), MUST(close(b));

  PART("inherited from the listener");
  struct sockaddr_in where;
  int f = listener(1, &where);
  v = 1, MUST(setsockopt(f, IPPROTO_TCP, TCP_INQ, &v, sizeof v));
  a = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(a, ADDR(where)));
  b = MUST(accept(f, NULL, NULL));
  MUST(getsockopt(b, IPPROTO_TCP, TCP_INQ, &v, &n));
  SAY("accepted %d", v);
  MUST(close(a)), MUST(close(b)), MUST(close(f));
  return 0;
}
