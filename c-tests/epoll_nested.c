// An epoll instance in another: level, edge, one shot, errors, depth and loops, time-outs, threads; poll and select of
// it.
#include "api.h"

static char buf[1 << 12];

static int control(int ep, int op, int fd, unsigned events, uint64_t data) {
  struct epoll_event ev = {.events = events, .data.u64 = data};
  return epoll_ctl(ep, op, fd, &ev);
}

static void events(const char *what, int ep, int ms) {
  struct epoll_event ev[8];
  int n = epoll_wait(ep, ev, 8, ms);
  if (n < 0) SAY("%s: %s", what, strerrorname_np(errno));
  else SAY("%s: %d", what, n);
  for (uint64_t d = 0; d < 100; d++)
    for (int i = 0; i < n; i++)
      if (ev[i].data.u64 == d) SAY("  %d %s", (int)d, bits(ev[i].events));
}

static int readable(int fd) {
  fd_set set;
  FD_ZERO(&set);
  FD_SET(fd, &set);
  struct timeval none = {0, 0};
  return MUST(select(fd + 1, &set, NULL, NULL, &none));
}

static int new(void) { return MUST(epoll_create1(EPOLL_CLOEXEC)); }

static void level(void) {
  int a, b, inner = new(), outer = new();
  PART("level");
  connection(&a, &b);
  SHOW(control(outer, EPOLL_CTL_ADD, inner, EPOLLIN, 1));
  SHOW(control(inner, EPOLL_CTL_ADD, a, EPOLLIN, 2));
  events("idle", outer, 0);
  send_all(b, "abc", 3);
  events("data", outer, 2000);
  events("still", outer, 0);
  SAY("polls %s and %s, selects %d and %d", bits(look(outer)), bits(look(inner)), readable(outer), readable(inner));
  events("the inner one", inner, 0);
  events("again", outer, 0);
  recv_all(a, buf, 3);
  events("read without asking the inner one", outer, 0);
  SAY("polls %s and %s, selects %d and %d", bits(look(outer)), bits(look(inner)), readable(outer), readable(inner));
  events("the inner one", inner, 0);
  send_all(b, "x", 1);
  SAY("polls %s", bits(settled(outer, POLLIN)));
  recv_all(a, buf, 1);
  SAY("polls %s", bits(look(outer)));

  PART("what is there when it is added counts");
  send_all(b, "y", 1), settled(a, POLLIN);
  SHOW(control(outer, EPOLL_CTL_DEL, inner, 0, 0));
  events("deleted", outer, 0);
  SHOW(control(outer, EPOLL_CTL_ADD, inner, EPOLLIN | EPOLLOUT, 3));
  events("added again", outer, 0);
  SHOW(control(outer, EPOLL_CTL_MOD, inner, EPOLLOUT, 4));
  events("asked for room alone", outer, 0);
  SHOW(control(outer, EPOLL_CTL_MOD, inner, EPOLLIN, 5));
  events("asked for data", outer, 0);
  SHOW(control(inner, EPOLL_CTL_DEL, a, 0, 0));
  events("nothing in it", outer, 0);
  SHOW(control(inner, EPOLL_CTL_ADD, a, EPOLLIN, 6));
  events("something again", outer, 0);
  MUST(close(inner));
  events("closed", outer, 0);
  SAY("polls %s", bits(look(outer)));
  MUST(close(outer)), MUST(close(a)), MUST(close(b));
}

static void edge(void) {
  int a, b, inner = new(), outer = new();
  PART("edge");
  connection(&a, &b);
  MUST(control(inner, EPOLL_CTL_ADD, a, EPOLLIN, 2));
  MUST(control(outer, EPOLL_CTL_ADD, inner, EPOLLIN | EPOLLET, 1));
  events("idle", outer, 0);
  send_all(b, "a", 1);
  events("data", outer, 2000);
  events("again", outer, 0);
  send_all(b, "b", 1), quiet();
  events("more data", outer, 2000);
  events("again", outer, 0);
  recv_all(a, buf, 2);
  events("read", outer, 0);
  send_all(b, "c", 1);
  events("data", outer, 2000);
  recv_all(a, buf, 1);

  PART("edges inside");
  MUST(control(inner, EPOLL_CTL_MOD, a, EPOLLIN | EPOLLET, 3));
  MUST(control(outer, EPOLL_CTL_MOD, inner, EPOLLIN, 4));
  events("idle", outer, 0);
  send_all(b, "d", 1);
  events("data", outer, 2000);
  events("still", outer, 0);
  events("the inner one", inner, 0);
  events("taken", outer, 0);
  recv_all(a, buf, 1);

  PART("one shot");
  MUST(control(inner, EPOLL_CTL_MOD, a, EPOLLIN, 5));
  MUST(control(outer, EPOLL_CTL_MOD, inner, EPOLLIN | EPOLLONESHOT, 6));
  send_all(b, "e", 1);
  events("data", outer, 2000);
  events("disarmed", outer, 0);
  MUST(control(outer, EPOLL_CTL_MOD, inner, EPOLLIN | EPOLLONESHOT, 7));
  events("armed", outer, 0);
  MUST(control(inner, EPOLL_CTL_MOD, a, EPOLLIN | EPOLLONESHOT, 8));
  MUST(control(outer, EPOLL_CTL_MOD, inner, EPOLLIN, 9));
  events("one shot inside", outer, 0);
  events("the inner one", inner, 0);
  events("disarmed inside", outer, 0);
  MUST(close(inner)), MUST(close(outer)), MUST(close(a)), MUST(close(b));
}

static void rules(void) {
  int chain[8], a, b;
  PART("rules");
  int inner = new(), outer = new();
  SHOW(control(outer, EPOLL_CTL_ADD, outer, EPOLLIN, 1));
  SHOW(control(outer, EPOLL_CTL_MOD, inner, EPOLLIN, 1));
  SHOW(control(outer, EPOLL_CTL_DEL, inner, 0, 0));
  SHOW(control(outer, EPOLL_CTL_ADD, inner, EPOLLIN | EPOLLEXCLUSIVE, 1));
  SHOW(control(outer, EPOLL_CTL_ADD, inner, EPOLLIN, 1));
  SHOW(control(outer, EPOLL_CTL_ADD, inner, EPOLLIN, 1));
  SHOW(control(inner, EPOLL_CTL_ADD, outer, EPOLLIN, 1));
  SHOW(control(outer, 99, inner, EPOLLIN, 1));
  MUST(close(inner)), MUST(close(outer));

  PART("depth");
  connection(&a, &b);
  for (int i = 0; i < 8; i++) chain[i] = new();
  MUST(control(chain[0], EPOLL_CTL_ADD, a, EPOLLIN, 0));
  for (int i = 1; i < 8; i++) SHOW(control(chain[i], EPOLL_CTL_ADD, chain[i - 1], EPOLLIN, i));
  send_all(b, "x", 1), quiet();
  for (int i = 0; i < 8; i++) {
    SAY("number %d", i);
    events("has", chain[i], 0);
  }
  recv_all(a, buf, 1);
  for (int i = 0; i < 8; i++) SAY("number %d polls %s", i, bits(look(chain[i])));
  for (int i = 0; i < 8; i++) MUST(close(chain[i]));
  MUST(close(a)), MUST(close(b));
}

static void mixed(void) {
  int a, b, p[2], inner = new(), outer = new();
  PART("sockets and a pipe, inside and outside, one place");
  connection(&a, &b);
  MUST(pipe(p));
  MUST(control(inner, EPOLL_CTL_ADD, a, EPOLLIN, 10));
  MUST(control(inner, EPOLL_CTL_ADD, p[0], EPOLLIN, 11));
  MUST(control(outer, EPOLL_CTL_ADD, inner, EPOLLIN, 12));
  MUST(control(outer, EPOLL_CTL_ADD, b, EPOLLIN, 13));
  MUST((write)(p[1], "x", 1));
  events("pipe", outer, 0);
  send_all(b, "x", 1), send_all(a, "x", 1), settled(a, POLLIN), settled(b, POLLIN);
  events("all", outer, 0);
  events("inside", inner, 0);
  unsigned seen = 0;
  for (int i = 0; i < 8; i++) {
    struct epoll_event one;
    if (epoll_wait(inner, &one, 1, 0) == 1) seen |= 1u << (one.data.u64 - 10);
    if (epoll_wait(outer, &one, 1, 0) == 1) seen |= 1u << (one.data.u64 - 10);
  }
  SAY("one at a time: %x", seen);
  recv_all(a, buf, 1);
  events("inside", inner, 0);
  MUST((read)(p[0], buf, 1));
  events("inside", inner, 0);
  events("outside", outer, 0);
  MUST(close(inner)), MUST(close(outer)), MUST(close(a)), MUST(close(b));
  MUST((close)(p[0])), MUST((close)(p[1]));
}

struct job {
  int fd, ms;
};

static void *later(void *arg) {
  struct job *job = arg;
  usleep(job->ms * 1000);
  send_all(job->fd, "x", 1);
  return NULL;
}

static void *asleep(void *arg) {
  struct epoll_event ev;
  epoll_wait(*(int *)arg, &ev, 1, -1);
  return NULL;
}

static void waiting(void) {
  int a, b, inner = new(), outer = new();
  pthread_t t;
  PART("waiting");
  connection(&a, &b);
  struct job job = {b, 40};
  MUST(control(inner, EPOLL_CTL_ADD, a, EPOLLIN, 1));
  MUST(control(outer, EPOLL_CTL_ADD, inner, EPOLLIN, 2));
  MUST(pthread_create(&t, NULL, later, &job));
  events("woken by another thread", outer, -1);
  MUST(pthread_join(t, NULL));
  recv_all(a, buf, 1);
  struct pollfd both[2] = {{.fd = outer, .events = POLLIN}, {.fd = b, .events = POLLIN}};
  MUST(pthread_create(&t, NULL, later, &job));
  SHOW(poll(both, 2, -1));
  SAY("polls %s", bits(both[0].revents));
  MUST(pthread_join(t, NULL));
  recv_all(a, buf, 1);
  long start = milliseconds();
  events("time-out", outer, 60);
  SAY("waited %d", milliseconds() - start >= 59 && milliseconds() - start < 1000);

  PART("a cancelled thread takes no event with it");
  pthread_t dead[3];
  for (int i = 0; i < 3; i++) MUST(pthread_create(&dead[i], NULL, asleep, &inner));
  quiet();
  for (int i = 0; i < 3; i++) MUST(pthread_cancel(dead[i]));
  for (int i = 0; i < 3; i++) MUST(pthread_join(dead[i], NULL));
  MUST(pthread_create(&t, NULL, asleep, &inner));
  quiet();
  send_all(b, "x", 1);
  MUST(pthread_join(t, NULL));
  for (int round = 0; round < (int)scaled(40); round++) {
    recv_all(a, buf, 1);
    MUST(pthread_create(&dead[0], NULL, asleep, &inner));
    MUST(pthread_create(&t, NULL, asleep, &inner));
    usleep(200 * (round % 8));
    send_all(b, "x", 1);
    MUST(pthread_cancel(dead[0]));
    MUST(pthread_join(dead[0], NULL));
    MUST(pthread_join(t, NULL));
  }
  SAY("the other one got it");
  MUST(close(inner)), MUST(close(outer)), MUST(close(a)), MUST(close(b));
}

int main(void) {
  level();
  edge();
  rules();
  mixed();
  waiting();
  return 0;
}
