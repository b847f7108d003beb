// fcntl and ioctl on sockets: flags, duplicates, byte counts, and requests that are not for sockets.
#include "api.h"

static char buf[64];

static int value(int fd, unsigned long request) {
  int v = -1;
  if (ioctl(fd, request, &v)) return -errno;
  return v;
}

static void becomes(const char *what, int fd, unsigned long request, int want) {
  for (long end = milliseconds() + 2000; value(fd, request) != want && milliseconds() < end;) usleep(500);
  SAY("%s: %d", what, value(fd, request));
}

int main(void) {
  int a, b;
  connection(&a, &b);
  PART("flags");
  SAY("F_GETFL %x", (int)MUST(fcntl(a, F_GETFL)) & ~O_LARGEFILE);
  SHOW(fcntl(a, F_SETFL, O_NONBLOCK | O_APPEND));
  SAY("F_GETFL nonblock %d", !!(fcntl(a, F_GETFL) & O_NONBLOCK));
  SHOW(fcntl(a, F_SETFL, 0));
  SHOW(fcntl(a, F_GETFD));
  SHOW(fcntl(a, F_SETFD, FD_CLOEXEC));
  SHOW(fcntl(a, F_GETFD));
  SHOW(fcntl(a, F_SETFD, 0));
  SHOW(fcntl(a, F_GETFD));
  SHOW(fcntl(a, 9999, 0));

  PART("duplicates");
  int c = fcntl(a, F_DUPFD, 50), d = fcntl(a, F_DUPFD_CLOEXEC, 50);
  SAY("%d %d", c, d);
  SAY("cloexec %d %d", (int)MUST(fcntl(c, F_GETFD)), (int)MUST(fcntl(d, F_GETFD)));
  SHOW(fcntl(a, F_DUPFD, -1));
  SHOW(fcntl(a, F_DUPFD, 1 << 30));
  MUST(close(a));
  SHOW(send(c, "x", 1, 0));
  MUST(close(c));
  SHOW(send(d, "y", 1, 0));
  becomes("FIONREAD", b, FIONREAD, 2);
  a = d;

  PART("counts");
  recv_all(b, buf, 1);
  becomes("one read", b, FIONREAD, 1);
  becomes("SIOCINQ", b, SIOCINQ, 1);
  becomes("SIOCOUTQ, all acknowledged", a, SIOCOUTQ, 0);
  MUST(shutdown(a, SHUT_WR));
  becomes("FIONREAD with an end behind", b, FIONREAD, 1);
  recv_all(b, buf, 1);
  becomes("FIONREAD at the end", b, FIONREAD, 0);
  SHOW(recv(b, buf, 1, 0));
  becomes("SIOCOUTQ of the closed side", a, SIOCOUTQ, 0);
  MUST(close(a)), MUST(close(b));

  PART("datagrams");
  struct sockaddr_in where;
  a = datagram(&where), b = datagram(NULL);
  SAY("%d %d", value(a, FIONREAD), value(a, SIOCOUTQ));
  MUST(sendto(b, "four", 4, 0, ADDR(where)));
  MUST(sendto(b, "seven..", 7, 0, ADDR(where)));
  becomes("the first datagram's length", a, FIONREAD, 4);
  recv_all(a, buf, 4);
  becomes("the next", a, FIONREAD, 7);
  SAY("SIOCATMARK %d", value(a, SIOCATMARK));

  PART("not for sockets");
  SHOW(ioctl(a, TCGETS, buf));
  SHOW(ioctl(a, 0xdeadbeef, buf));
  return 0;
}
