// EPOLLEXCLUSIVE: what it may be combined with, and how many of several waiting threads one event wakes.
#include "api.h"

enum { WATCHERS = 4 };

static int set_of(int fd, unsigned events) {
  int ep = MUST(epoll_create1(EPOLL_CLOEXEC));
  struct epoll_event ev = {.events = events, .data.u64 = 1};
  MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
  return ep;
}

static int control(int ep, int op, int fd, unsigned events) {
  struct epoll_event ev = {.events = events};
  return epoll_ctl(ep, op, fd, &ev);
}

static void rules(void) {
  struct sockaddr_in where;
  int l = listener(8, &where), ep = MUST(epoll_create1(0)), other = MUST(epoll_create1(0));
  PART("rules");
  SHOW(control(ep, EPOLL_CTL_MOD, l, EPOLLIN | EPOLLEXCLUSIVE));
  SHOW(control(ep, EPOLL_CTL_ADD, l, EPOLLIN | EPOLLONESHOT | EPOLLEXCLUSIVE));
  SHOW(control(ep, EPOLL_CTL_ADD, l, EPOLLIN | EPOLLRDHUP | EPOLLEXCLUSIVE));
  SHOW(control(ep, EPOLL_CTL_ADD, l, EPOLLPRI | EPOLLEXCLUSIVE));
  SHOW(control(ep, EPOLL_CTL_ADD, l, EPOLLRDNORM | EPOLLEXCLUSIVE));
  SHOW(control(ep, EPOLL_CTL_ADD, other, EPOLLIN | EPOLLEXCLUSIVE));
  SHOW(control(ep, EPOLL_CTL_ADD, l, EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE));
  SHOW(control(ep, EPOLL_CTL_ADD, l, EPOLLIN | EPOLLEXCLUSIVE));
  SHOW(control(ep, EPOLL_CTL_ADD, l, EPOLLIN));
  SHOW(control(ep, EPOLL_CTL_MOD, l, EPOLLIN));
  SHOW(control(ep, EPOLL_CTL_MOD, l, EPOLLIN | EPOLLEXCLUSIVE));
  SHOW(control(ep, EPOLL_CTL_DEL, l, EPOLLEXCLUSIVE));
  SHOW(control(ep, EPOLL_CTL_ADD, l, EPOLLIN));
  SHOW(control(ep, EPOLL_CTL_MOD, l, EPOLLIN | EPOLLEXCLUSIVE));
  SHOW(control(ep, EPOLL_CTL_MOD, l, EPOLLOUT));
  MUST(close(l)), MUST(close(ep)), MUST(close(other));
}

struct watcher {
  pthread_t thread;
  int ep, woken;
  unsigned seen;
};

static void *watch(void *arg) {
  struct watcher *w = arg;
  struct epoll_event ev;
  int n = MUST(epoll_wait(w->ep, &ev, 1, scaled(80) < 80 ? 3000 : 400));
  w->woken = n;
  w->seen = n ? ev.events : 0;
  return NULL;
}

// Starts the threads, and lets them fall asleep.
static void start(struct watcher *w) {
  for (int i = 0; i < WATCHERS; i++) MUST(pthread_create(&w[i].thread, NULL, watch, &w[i]));
  usleep(scaled(80) < 80 ? 1000000 : 100000);
}

static int woken(struct watcher *w) {
  int sum = 0;
  for (int i = 0; i < WATCHERS; i++) {
    MUST(pthread_join(w[i].thread, NULL));
    sum += w[i].woken;
  }
  return sum;
}

static void waking(void) {
  struct watcher w[WATCHERS];
  struct sockaddr_in where;
  int l = listener(8, &where), c;
  PART("a connection wakes one of those who share it");
  for (int i = 0; i < WATCHERS; i++) w[i] = (struct watcher){.ep = set_of(l, EPOLLIN | EPOLLEXCLUSIVE)};
  start(w);
  c = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(c, ADDR(where)));
  int sum = woken(w);
  SAY("at least one %d, fewer than all %d", sum >= 1, sum < WATCHERS);
  MUST(close(MUST(accept(l, NULL, NULL)))), MUST(close(c));

  PART("those that nobody waits at are passed over");
  struct watcher *last = &w[WATCHERS - 1];
  MUST(pthread_create(&last->thread, NULL, watch, last));
  quiet();
  c = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(c, ADDR(where)));
  MUST(pthread_join(last->thread, NULL));
  SAY("the last woke with %s", bits(last->seen));
  for (int i = 0; i < WATCHERS; i++) {
    struct epoll_event ev;
    SAY("set %d: %ld", i, (long)epoll_wait(w[i].ep, &ev, 1, 0));
  }
  MUST(close(MUST(accept(l, NULL, NULL)))), MUST(close(c));
  for (int i = 0; i < WATCHERS; i++) MUST(close(w[i].ep));

  PART("without the flag it wakes all");
  for (int i = 0; i < WATCHERS; i++) w[i] = (struct watcher){.ep = set_of(l, i ? EPOLLIN : EPOLLIN | EPOLLEXCLUSIVE)};
  start(w);
  c = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(c, ADDR(where)));
  SAY("woken %d", woken(w));
  for (int i = 0; i < WATCHERS; i++) MUST(close(w[i].ep));
  MUST(close(c)), MUST(close(l));

  PART("the end of a connection wakes all");
  int a, b;
  connection(&a, &b);
  for (int i = 0; i < WATCHERS; i++) w[i] = (struct watcher){.ep = set_of(a, EPOLLIN | EPOLLEXCLUSIVE)};
  start(w);
  struct linger now = {1, 0};
  MUST(setsockopt(b, SOL_SOCKET, SO_LINGER, &now, sizeof now));
  MUST(close(b));
  SAY("woken %d", woken(w));
  for (int i = 0; i < WATCHERS; i++) MUST(close(w[i].ep));
  MUST(close(a));
}

int main(void) {
  rules();
  waking();
  return 0;
}
