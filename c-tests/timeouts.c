// SO_RCVTIMEO and SO_SNDTIMEO: how they are set, what they end and after how long.
#include "api.h"

static char buf[1 << 16];
static struct sockaddr_in where;

static void limit(int fd, int which, long sec, long usec) {
  struct timeval tv = {sec, usec};
  int r = setsockopt(fd, SOL_SOCKET, which, &tv, sizeof tv);
  socklen_t n = sizeof tv;
  int e = errno;
  MUST(getsockopt(fd, SOL_SOCKET, which, &tv, &n));
  SAY("set %ld.%06ld: %s, is %ld.%06ld", sec, usec, r ? strerrorname_np(e) : "ok", (long)tv.tv_sec, (long)tv.tv_usec);
}

#define TIMED(call, from, to)                                                                          \
  do {                                                                                                 \
    long start = milliseconds(), r = (long)(call), took;                                               \
    int e = errno;                                                                                     \
    took = milliseconds() - start;                                                                     \
    SAY("%s: %ld %s, %s", #call, r, r < 0 ? strerrorname_np(e) : "ok",                                 \
        took < from ? "too early" : took > to ? "too late" : "in time");                               \
  } while (0)

int main(void) {
  int a, b;
  connection(&a, &b);
  PART("setting");
  limit(a, SO_RCVTIMEO, 0, 0);
  limit(a, SO_RCVTIMEO, 1, 500000);
  limit(a, SO_RCVTIMEO, 0, 100000);
  limit(a, SO_RCVTIMEO, 0, 1000000);
  limit(a, SO_RCVTIMEO, 0, -1);
  limit(a, SO_RCVTIMEO, -1, 0);
  limit(a, SO_SNDTIMEO, 2, 0);
  struct timeval tv = {1, 0};
  SHOW(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, 4));
  SHOW(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));

  PART("receiving");
  limit(a, SO_RCVTIMEO, 0, 200000);
  TIMED(recv(a, buf, 1, 0), 190, 900);
  TIMED(read(a, buf, 1), 190, 900);
  TIMED(recv(a, buf, 1, MSG_PEEK), 190, 900);
  TIMED(recv(a, buf, 1, MSG_DONTWAIT), 0, 100);
  send_all(b, "abc", 3);
  TIMED(recv(a, buf, 5, MSG_WAITALL), 190, 900);
  struct pollfd p = {.fd = a, .events = POLLIN};
  TIMED(poll(&p, 1, 400), 390, 1200);

  PART("accepting");
  int l = listener(5, &where);
  limit(l, SO_RCVTIMEO, 0, 200000);
  TIMED(accept(l, NULL, NULL), 190, 900);

  PART("datagrams");
  int d = datagram(NULL);
  limit(d, SO_RCVTIMEO, 0, 200000);
  TIMED(recv(d, buf, 1, 0), 190, 900);
  TIMED(recvfrom(d, buf, 1, 0, NULL, NULL), 190, 900);

  PART("sending");
  limit(a, SO_SNDTIMEO, 0, 200000);
  set(b, SOL_SOCKET, SO_RCVBUF, 4096);
  set(a, SOL_SOCKET, SO_SNDBUF, 65536);
  while (send(a, buf, sizeof buf, 0) == sizeof buf) {}
  TIMED(send(a, buf, sizeof buf, 0), 190, 900);
  TIMED(write(a, buf, sizeof buf), 190, 900);
  limit(a, SO_SNDTIMEO, 0, 0);
  MUST(close(b));
  TIMED(send(a, buf, sizeof buf, MSG_NOSIGNAL), 0, 500);

  PART("no time-out waits");
  connection(&a, &b);
  limit(a, SO_RCVTIMEO, 0, 100000);
  limit(a, SO_RCVTIMEO, 0, 0);
  p.fd = a;
  TIMED(poll(&p, 1, 300), 290, 1200);
  return 0;
}
