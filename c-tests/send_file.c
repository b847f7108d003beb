// sendfile to a socket: what is sent, where the offset and the file's position end up, and what cannot be sent.
#include "api.h"

static char bytes[300000], back[300000];

int main(void) {
  int a, b, u, f = memfd_create("file", MFD_CLOEXEC), p[2], fresh = MUST(socket(AF_INET, SOCK_STREAM, 0));
  struct sockaddr_in where;
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = i * 7 + i / 251;
  for (size_t n = 0; n < sizeof bytes;) n += MUST((write)(f, bytes + n, sizeof bytes - n));
  MUST(pipe(p));
  signal(SIGPIPE, SIG_IGN);
  connection(&a, &b);

  PART("with an offset");
  off_t at = 10;
  SHOW(sendfile(a, f, &at, 1000));
  SAY("offset %ld, position %ld", (long)at, (long)lseek(f, 0, SEEK_CUR));
  recv_all(b, back, 1000);
  SAY("same %d", !memcmp(back, bytes + 10, 1000));

  PART("from the position");
  lseek(f, 100, SEEK_SET);
  SHOW(sendfile(a, f, NULL, 50));
  SAY("position %ld", (long)lseek(f, 0, SEEK_CUR));
  recv_all(b, back, 50);
  SAY("same %d", !memcmp(back, bytes + 100, 50));

  PART("the end of the file");
  at = sizeof bytes - 20;
  SHOW(sendfile(a, f, &at, 1000));
  SAY("offset %ld", (long)at);
  recv_all(b, back, 20);
  SHOW(sendfile(a, f, &at, 1000));
  SHOW(sendfile(a, f, &at, 0));
  SAY("offset %ld", (long)at);

  PART("all of it");
  int size = 1 << 20;
  MUST(setsockopt(a, SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
  MUST(setsockopt(b, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
  size_t sent = 0, got = 0;
  nonblocking(a), nonblocking(b);
  at = 0;
  while (got < sizeof bytes) {
    long n = sendfile(a, f, &at, sizeof bytes - sent);
    if (n > 0) sent += n;
    n = recv(b, back + got, sizeof back - got, 0);
    if (n > 0) got += n;
  }
  SAY("sent %zu, offset %ld, same %d", sent, (long)at, !memcmp(back, bytes, sizeof bytes));

  PART("a full socket");
  do at = 0;
  while (sendfile(a, f, &at, sizeof bytes) > 0 || (usleep(20000), at = 0, sendfile(a, f, &at, sizeof bytes) > 0));
  at = 5;
  SHOW(sendfile(a, f, &at, 1000));
  SAY("offset %ld", (long)at);
  MUST(close(a)), MUST(close(b));

  PART("what cannot be sent");
  connection(&a, &b);
  at = 3;
  SHOW(sendfile(a, p[0], NULL, 10));
  SHOW(sendfile(a, p[0], &at, 10));
  SHOW(sendfile(a, b, NULL, 10));
  SHOW(sendfile(a, b, &at, 10));
  SHOW(sendfile(a, 999, NULL, 10));
  SHOW(sendfile(a, 999, &at, 10));
  SHOW(sendfile(999, f, &at, 10));
  SHOW(sendfile(a, f, (off_t *)8, 10));
  at = -1;
  SHOW(sendfile(a, f, &at, 10));
  at = 0;
  SHOW(sendfile(fresh, f, &at, 10));
  MUST(shutdown(a, SHUT_WR));
  SHOW(sendfile(a, f, &at, 10));

  PART("datagrams");
  u = datagram(&where);
  int v = datagram(NULL);
  SHOW(sendfile(v, f, &at, 10));
  MUST(connect(v, ADDR(where)));
  SHOW(sendfile(v, f, &at, 1000));
  SAY("received %ld, offset %ld", (long)recv(u, back, sizeof back, 0), (long)at);

  PART("between descriptors of the kernel");
  at = 0;
  SHOW(sendfile(p[1], f, &at, 100));
  return 0;
}
