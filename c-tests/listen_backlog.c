// Listening: what it needs, how many connections wait to be accepted, and what becomes of them when the listener goes.
#include "api.h"

static int dial(struct sockaddr_in to) {
  int fd = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  if (connect(fd, ADDR(to)) && errno != EINPROGRESS) SAY("connect: %s", strerrorname_np(errno));
  return fd;
}

int main(void) {
  struct sockaddr_in where;
  PART("listening without a bind chooses a port");
  int l = MUST(socket(AF_INET, SOCK_STREAM, 0));
  SHOW(accept(l, NULL, NULL));
  SHOW(listen(l, 3));
  where = local(l);
  SAY("ip %s, port chosen %d, listening %d", ip_of(where), where.sin_port != 0, option(l, SOL_SOCKET, SO_ACCEPTCONN));
  SHOW(listen(l, 7));
  SHOW(listen(l, -1));
  SHOW(listen(l, 0));
  SHOW(connect(l, ADDR(where)));
  SHOW(send(l, "x", 1, MSG_NOSIGNAL));
  char c;
  SHOW(recv(l, &c, 1, 0));
  int n = 0;
  SHOW(ioctl(l, FIONREAD, &n));
  SHOW(ioctl(l, SIOCOUTQ, &n));
  MUST(close(l));

  PART("listening is for streams that are not connected");
  int d = datagram(NULL);
  SHOW(listen(d, 5));
  SHOW(accept(d, NULL, NULL));
  MUST(close(d));
  int a, b;
  connection(&a, &b);
  SHOW(listen(a, 5));
  SHOW(accept(a, NULL, NULL));
  MUST(close(a)), MUST(close(b));

  PART("a backlog of 2 holds 3");
  l = listener(2, &where);
  nonblocking(l);
  int fds[6];
  for (int i = 0; i < 6; i++) fds[i] = dial(where), quiet();
  int accepted = 0;
  // A client whose SYN was dropped sends it again after a second.
  for (long end = milliseconds() + 300; milliseconds() < end;) {
    int s = accept(l, NULL, NULL);
    if (s >= 0) accepted++, MUST(close(s));
    else usleep(1000);
  }
  SAY("accepted at once %d", accepted);
  for (long end = milliseconds() + 4000; accepted < 6 && milliseconds() < end;) {
    int s = accept(l, NULL, NULL);
    if (s >= 0) accepted++, MUST(close(s));
    else usleep(1000);
  }
  SAY("accepted in the end %d", accepted);
  for (int i = 0; i < 6; i++) MUST(close(fds[i]));
  MUST(close(l));

  PART("data sent before accept is there after it");
  l = listener(5, &where);
  a = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(a, ADDR(where)));
  SHOW(send(a, "early", 5, 0));
  MUST(close(a));
  quiet();
  b = MUST(accept(l, NULL, NULL));
  char buf[16];
  SHOW(recv(b, buf, sizeof buf, 0));
  SHOW(recv(b, buf, sizeof buf, 0));
  MUST(close(b));

  PART("a connection reset while it waits to be accepted");
  a = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(a, ADDR(where)));
  struct linger none = {1, 0};
  MUST(setsockopt(a, SOL_SOCKET, SO_LINGER, &none, sizeof none));
  MUST(close(a));
  quiet();
  SAY("listener %s", bits(look(l)));
  b = MUST(accept(l, NULL, NULL));
  SAY("accepted %s", bits(look(b)));
  SHOW(recv(b, buf, sizeof buf, 0));
  SHOW(recv(b, buf, sizeof buf, 0));
  MUST(close(b));

  PART("closing a listener resets what waits in it");
  a = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(a, ADDR(where)));
  MUST(close(l));
  SAY("client %s", bits(settled(a, POLLHUP)));
  SHOW(recv(a, buf, sizeof buf, 0));
  SHOW(recv(a, buf, sizeof buf, 0));
  MUST(close(a));
  a = MUST(socket(AF_INET, SOCK_STREAM, 0));
  SHOW(connect(a, ADDR(where)));
  MUST(close(a));

  PART("shutdown of a listener");
  l = listener(5, &where);
  SHOW(shutdown(l, SHUT_WR));
  SHOW(shutdown(l, SHUT_RD));
  SAY("listening %d, %s", option(l, SOL_SOCKET, SO_ACCEPTCONN), bits(look(l)));
  SHOW(accept(l, NULL, NULL));
  SHOW(shutdown(l, SHUT_RD));
  SHOW(listen(l, 5));
  MUST(close(l));
  return 0;
}
