// dup, dup2, dup3: one socket under several numbers, closed with the last; numbers taken from sockets and given to
// them.
#include "api.h"

static char buf[16];

int main(void) {
  int a, b;
  PART("dup");
  connection(&a, &b);
  int c = MUST(dup(a));
  SAY("another number %d", c != a);
  SHOW(send(c, "one", 3, 0));
  MUST(close(a));
  SHOW(send(c, "two", 3, 0));
  recv_all(b, buf, 6);
  SAY("%.6s, peer still %s", buf, bits(look(b)));
  SHOW(recv(b, buf, 1, MSG_DONTWAIT));
  MUST(close(c));
  SAY("closed with the last: %s", bits(settled(b, POLLRDHUP)));
  SHOW(recv(b, buf, 1, 0));
  MUST(close(b));

  PART("dup2 onto a socket closes it");
  int d, e;
  connection(&a, &b);
  connection(&d, &e);
  SAY("%d", dup2(a, d) == d);
  SAY("peer of the closed one: %s", bits(settled(e, POLLRDHUP)));
  SHOW(send(d, "via d", 5, 0));
  recv_all(b, buf, 5);
  SAY("%.5s", buf);
  SAY("onto itself %d", dup2(a, a) == a);
  SHOW(dup2(a, -1));
  SHOW(dup2(999, a));
  SHOW(send(a, "still", 5, 0));
  recv_all(b, buf, 5);

  PART("dup3");
  SHOW(dup3(a, a, 0));
  SHOW(dup3(a, 60, O_CLOEXEC));
  SHOW(fcntl(60, F_GETFD));
  SHOW(dup3(a, 61, O_NONBLOCK));
  SHOW(send(60, "sixty", 5, 0));
  recv_all(b, buf, 5);
  MUST(close(60));

  PART("a file's number becomes a socket's and back");
  int p[2];
  MUST(pipe(p));
  SAY("%d", dup2(a, p[1]) == p[1]);
  char x;
  SAY("the pipe has lost its writer: %ld", (long)(read)(p[0], &x, 1));
  SHOW(write(p[1], "net", 3));
  recv_all(b, buf, 3);
  SAY("%.3s", buf);
  int q[2];
  MUST(pipe(q));
  SAY("%d", dup2(q[1], p[1]) == p[1]);
  SHOW(write(p[1], "pipe", 4));
  SHOW(read(q[0], buf, 4));
  SAY("%.4s", buf);
  SHOW(send(p[1], "x", 1, 0));

  PART("listeners and epoll through a duplicate");
  struct sockaddr_in where;
  int l = listener(5, &where), m = MUST(dup(l));
  MUST(close(l));
  int f = MUST(socket(AF_INET, SOCK_STREAM, 0));
  SHOW(connect(f, ADDR(where)));
  int g = accept(m, NULL, NULL);
  SAY("accepted %d", g >= 0);
  MUST(close(m)), MUST(close(g));
  SAY("%s", bits(settled(f, POLLRDHUP)));
  int ep = MUST(epoll_create1(0)), ep2 = MUST(dup(ep));
  struct epoll_event ev = {.events = EPOLLOUT, .data.u64 = 9};
  MUST(epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev));
  MUST(close(ep));
  SHOW(epoll_wait(ep2, &ev, 1, 0));
  SAY("data %d", (int)ev.data.u64);
  return 0;
}
