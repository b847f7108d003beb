// Threads cancelled inside blocking calls: the call ends, cleanup runs, and the sockets still work for the others.
#include "api.h"

static int a, b, l, ep, u;
static char buf[64];
static volatile int cleaned;

static void cleanup(void *arg) { (void)arg, cleaned++; }

#define THREAD(name, call)                 \
  static void *in_##name(void *arg) {      \
    pthread_cleanup_push(cleanup, NULL);   \
    long r = (long)(call);                 \
    SAY("returned %ld", r);                \
    pthread_cleanup_pop(0);                \
    return arg;                            \
  }
THREAD(recv, recv(a, buf, sizeof buf, 0))
THREAD(read, read(a, buf, sizeof buf))
THREAD(accept, accept(l, NULL, NULL))
THREAD(poll, poll(&(struct pollfd){.fd = a, .events = POLLIN}, 1, -1))
THREAD(poll_time, poll(&(struct pollfd){.fd = a, .events = POLLIN}, 1, 60000))
THREAD(epoll, epoll_wait(ep, &(struct epoll_event){0}, 1, -1))
THREAD(select, select(a + 1, &(fd_set){{1ul << a}}, NULL, NULL, NULL))
THREAD(recvfrom, recvfrom(u, buf, sizeof buf, 0, NULL, NULL))

static void *in_send(void *arg) {
  static char block[65536];
  pthread_cleanup_push(cleanup, NULL);
  while (send(a, block, sizeof block, 0) > 0) {}
  SAY("send ended");
  pthread_cleanup_pop(0);
  return arg;
}

static void cancelled(const char *what, void *(*body)(void *)) {
  pthread_t t;
  void *ret;
  cleaned = 0;
  MUST(pthread_create(&t, NULL, body, NULL));
  usleep(60000);
  MUST(pthread_cancel(t));
  MUST(pthread_join(t, &ret));
  SAY("%s: cancelled %d, cleanup ran %d", what, ret == PTHREAD_CANCELED, cleaned);
}

static void *two_readers(void *arg) {
  char c = 0;
  long n = recv(a, &c, 1, 0);
  return n == 1 && c == 'y' ? arg : NULL;
}

int main(void) {
  struct sockaddr_in where;
  connection(&a, &b);
  l = listener(5, &where);
  u = datagram(NULL);
  ep = MUST(epoll_create1(0));
  struct epoll_event ev = {.events = EPOLLIN};
  MUST(epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev));
  for (int round = 0; round < 2; round++) {
    cancelled("recv", in_recv);
    cancelled("read", in_read);
    cancelled("accept", in_accept);
    cancelled("poll", in_poll);
    cancelled("poll with a time", in_poll_time);
    cancelled("epoll_wait", in_epoll);
    cancelled("select", in_select);
    cancelled("recvfrom", in_recvfrom);
    send_all(b, "x", 1);
    recv_all(a, buf, 1);
    SAY("still works: %c", buf[0]);
  }
  cancelled("send", in_send);

  PART("one of two waiting threads");
  MUST(close(a)), MUST(close(b));
  connection(&a, &b);
  pthread_t one, two;
  void *ret;
  MUST(pthread_create(&one, NULL, in_recv, NULL));
  usleep(30000);
  MUST(pthread_create(&two, NULL, two_readers, &a));
  usleep(30000);
  MUST(pthread_cancel(one));
  MUST(pthread_join(one, &ret));
  SAY("first cancelled %d", ret == PTHREAD_CANCELED);
  send_all(b, "y", 1);
  MUST(pthread_join(two, &ret));
  SAY("second read %d", ret == &a);

  PART("with cancellation disabled");
  int old;
  MUST(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old));
  pthread_cancel(pthread_self());
  send_all(b, "z", 1);
  SHOW(recv(a, buf, 1, 0));
  return 0;
}
