// epoll: level, edge, one shot, RDHUP; ADD, MOD, DEL and their errors; stack, pipe and eventfd in one set.
#include "api.h"

static int ep;
static char buf[1 << 16];

static int control(int op, int fd, unsigned events, uint64_t data) {
  struct epoll_event ev = {.events = events, .data.u64 = data};
  return epoll_ctl(ep, op, fd, &ev);
}

// Waits up to `ms` and prints every event by its data, smallest first.
static void events(const char *what, int ms) {
  struct epoll_event ev[16];
  int n = epoll_wait(ep, ev, 16, ms);
  if (n < 0) SAY("%s: %s", what, strerrorname_np(errno));
  else SAY("%s: %d", what, n);
  for (uint64_t d = 0; d < 100; d++)
    for (int i = 0; i < n; i++)
      if (ev[i].data.u64 == d) SAY("  %d %s", (int)d, bits(ev[i].events));
}

static void level_and_edge(void) {
  int a, b;
  PART("level");
  connection(&a, &b);
  SHOW(control(EPOLL_CTL_ADD, a, EPOLLIN, 1));
  events("idle", 0);
  send_all(b, "abc", 3);
  events("data", 2000);
  events("still", 0);
  recv_all(a, buf, 2);
  events("some left", 0);
  recv_all(a, buf, 1);
  events("none left", 0);
  SHOW(control(EPOLL_CTL_MOD, a, EPOLLIN | EPOLLOUT, 2));
  events("writable", 0);
  events("writable still", 0);
  SHOW(control(EPOLL_CTL_DEL, a, 0, 0));
  events("deleted", 0);

  PART("edge");
  SHOW(control(EPOLL_CTL_ADD, a, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 3));
  events("first", 0);
  events("again", 0);
  send_all(b, "abc", 3);
  events("data", 2000);
  events("again", 0);
  send_all(b, "def", 3), quiet();
  events("more data", 2000);
  recv_all(a, buf, 2);
  events("partly read", 0);
  recv_all(a, buf, 4);
  events("all read", 0);
  send_all(b, "g", 1);
  events("data", 2000);
  SHOW(control(EPOLL_CTL_MOD, a, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 4));
  events("rearmed by MOD", 0);
  events("again", 0);
  recv_all(a, buf, 1);
  MUST(shutdown(b, SHUT_WR));
  events("half closed", 2000);
  events("again", 0);
  MUST(shutdown(a, SHUT_WR)), quiet();
  events("closed", 2000);
  MUST(close(a));
  events("closing removes", 0);
  MUST(close(b));

  PART("an edge for every time the buffer has room again");
  connection(&a, &b);
  set(a, SOL_SOCKET, SO_SNDBUF, 32768);
  set(b, SOL_SOCKET, SO_RCVBUF, 32768);
  nonblocking(a), nonblocking(b);
  SHOW(control(EPOLL_CTL_ADD, a, EPOLLOUT | EPOLLET, 5));
  events("at first", 0);
  while (send(a, buf, sizeof buf, 0) > 0 || (usleep(10000), send(a, buf, sizeof buf, 0) > 0)) {}
  events("full", 0);
  for (long end = milliseconds() + 3000; milliseconds() < end && !(look(a) & POLLOUT);)
    if (recv(b, buf, sizeof buf, 0) < 0) usleep(1000);
  events("room", 2000);
  events("again", 0);
  MUST(close(a)), MUST(close(b));
}

static void one_shot(void) {
  int a, b;
  PART("one shot");
  connection(&a, &b);
  SHOW(control(EPOLL_CTL_ADD, a, EPOLLIN | EPOLLONESHOT, 6));
  send_all(b, "abc", 3);
  events("data", 2000);
  events("disarmed", 0);
  send_all(b, "def", 3), quiet();
  events("still", 0);
  SHOW(control(EPOLL_CTL_MOD, a, EPOLLIN | EPOLLONESHOT, 7));
  events("armed again", 0);
  MUST(close(b)), quiet();
  events("disarmed at the end too", 0);
  SHOW(control(EPOLL_CTL_MOD, a, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT | EPOLLET, 8));
  events("end", 0);
  MUST(close(a));
}

static void mixed(void) {
  int a, b, p[2], e = MUST(eventfd(0, EFD_NONBLOCK));
  struct sockaddr_in where;
  PART("mixed");
  connection(&a, &b);
  MUST(pipe(p));
  int l = listener(5, &where), d = datagram(&where);
  struct sockaddr_in to_listener = local(l);
  SHOW(control(EPOLL_CTL_ADD, a, EPOLLIN, 10));
  SHOW(control(EPOLL_CTL_ADD, p[0], EPOLLIN, 11));
  SHOW(control(EPOLL_CTL_ADD, e, EPOLLIN | EPOLLET, 12));
  SHOW(control(EPOLL_CTL_ADD, l, EPOLLIN, 13));
  SHOW(control(EPOLL_CTL_ADD, d, EPOLLIN, 14));
  events("idle", 20);
  MUST((write)(p[1], "x", 1));
  events("pipe", 2000);
  uint64_t one = 1;
  MUST((write)(e, &one, 8));
  events("and eventfd", 2000);
  int c = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(c, ADDR(to_listener)));
  MUST(sendto(d, "self", 4, 0, ADDR(where)));
  send_all(b, "x", 1), quiet();
  events("all", 2000);
  MUST((read)(p[0], buf, 1));
  recv_all(a, buf, 1);
  events("fewer", 0);
  struct epoll_event two[2];
  send_all(b, "x", 1), settled(a, POLLIN);
  SHOW(epoll_wait(ep, two, 2, 0));
  SHOW(epoll_wait(ep, two, 1, 0));
  int seen = 0;
  for (int i = 0; i < 6; i++)
    if (epoll_wait(ep, two, 1, 0) == 1) seen |= 1 << (two[0].data.u64 - 10);
  SAY("one at a time, each has its turn: %x", seen);
  SAY("the set itself polls %s", bits(look(ep)));
  MUST(close(a)), MUST(close(b)), MUST(close(c)), MUST(close(l)), MUST(close(d));
  MUST((close)(p[0])), MUST((close)(p[1])), MUST((close)(e));
  events("all closed", 0);
  SAY("the set itself polls %s", bits(look(ep)));
}

static void errors(void) {
  int a, b;
  struct epoll_event ev[2] = {{.events = EPOLLIN}};
  PART("errors");
  connection(&a, &b);
  SHOW(epoll_create1(-1));
  SHOW(epoll_create1(0x1000));
  SHOW(control(EPOLL_CTL_MOD, a, EPOLLIN, 1));
  SHOW(control(EPOLL_CTL_DEL, a, 0, 0));
  SHOW(control(EPOLL_CTL_ADD, a, 0, 1));
  SHOW(control(EPOLL_CTL_ADD, a, EPOLLIN, 1));
  SHOW(control(99, a, EPOLLIN, 1));
  SHOW(epoll_ctl(ep, EPOLL_CTL_DEL, a, NULL));
  SHOW(control(EPOLL_CTL_ADD, -1, EPOLLIN, 1));
  SHOW(control(EPOLL_CTL_ADD, 999, EPOLLIN, 1));
  SHOW(control(EPOLL_CTL_ADD, ep, EPOLLIN, 1));
  SHOW(epoll_ctl(a, EPOLL_CTL_ADD, b, ev));
  SHOW(epoll_ctl(-1, EPOLL_CTL_ADD, b, ev));
  SHOW(epoll_wait(ep, ev, 0, 0));
  SHOW(epoll_wait(ep, ev, -1, 0));
  SHOW(epoll_wait(a, ev, 1, 0));
  SHOW(epoll_wait(-1, ev, 1, 0));
  SHOW(epoll_wait(999, ev, 1, 0));

  PART("asked for nothing");
  SHOW(control(EPOLL_CTL_ADD, a, 0, 20));
  send_all(b, "x", 1), quiet();
  events("data", 0);
  struct linger now = {1, 0};
  MUST(setsockopt(b, SOL_SOCKET, SO_LINGER, &now, sizeof now));
  MUST(close(b));
  events("reset", 2000);
  MUST(close(a));

  PART("states");
  a = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  SHOW(control(EPOLL_CTL_ADD, a, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 30));
  events("fresh", 0);
  struct sockaddr_in none = nobody(SOCK_STREAM);
  SHOW(connect(a, ADDR(none)));
  quiet();
  events("refused", 2000);
  SAY("pending %s", pending(a));
  events("again", 0);
  MUST(close(a));
  struct sockaddr_in where;
  int l = listener(5, &where);
  a = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  SHOW(connect(a, ADDR(where)));
  SHOW(control(EPOLL_CTL_ADD, a, EPOLLIN | EPOLLOUT | EPOLLET, 31));
  settled(a, POLLOUT);
  events("connected", 2000);
  events("again", 0);
  MUST(close(a)), MUST(close(l));
}

static void *later(void *fd) {
  usleep(50000);
  send_all(*(int *)fd, "x", 1);
  return NULL;
}

static void waiting(void) {
  int a, b;
  pthread_t t;
  PART("waiting");
  connection(&a, &b);
  MUST(control(EPOLL_CTL_ADD, a, EPOLLIN, 40));
  MUST(pthread_create(&t, NULL, later, &b));
  events("woken by another thread", -1);
  MUST(pthread_join(t, NULL));
  recv_all(a, buf, 1);
  long start = milliseconds();
  events("time-out", 60);
  SAY("waited %d", milliseconds() - start >= 59 && milliseconds() - start < 1000);
  PART("a duplicate keeps the entry");
  int c = MUST(dup(a));
  MUST(close(a));
  send_all(b, "x", 1);
  events("through the duplicate", 2000);
  MUST(close(c));
  events("all closed", 0);
  MUST(close(b));
}

int main(void) {
  ep = MUST(epoll_create1(EPOLL_CLOEXEC));
  SAY("cloexec %d", (int)MUST(fcntl(ep, F_GETFD)));
  level_and_edge();
  one_shot();
  mixed();
  errors();
  waiting();
  SHOW(close(ep));
  SHOW(close(ep));
  return 0;
}
