// Sockets in the kernel's own poll and epoll: every condition as the socket has it, edges as well, with nobody inside
// the library. `(poll)`, with parentheses, is the C library's own on both sides.
#include "api.h"

static char buf[1 << 16];

static int pollable(int fd) {
#ifdef SOCKEYE
  set(fd, SOL_SOCKEYE, SOCKEYE_POLLABLE, 1);
  if (option(fd, SOL_SOCKEYE, SOCKEYE_POLLABLE) != 1) SAY("not pollable");
#endif
  return fd;
}

static int kernel_look(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP};
  MUST((poll)(&p, 1, 0));
  return p.revents;
}

// What the kernel says once all of `want` are there and none of `unwanted`, or after two seconds.
static const char *kernel(int fd, int want, int unwanted) {
  long end = milliseconds() + 2000;
  int have;
  while ((have = kernel_look(fd), (have & want) != want || have & unwanted) && milliseconds() < end) usleep(500);
  return bits(have);
}

static void *answer(void *fd) {
  usleep(20000);
  send_all(*(int *)fd, "late", 4);
  return NULL;
}

int main(void) {
  struct sockaddr_in where, none = nobody(SOCK_STREAM);
  int a, b, l = pollable(listener(0, &where));
  signal(SIGPIPE, SIG_IGN);

  PART("a listener");
  SAY("idle %s", kernel(l, 0, 0));
  a = pollable(MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)));
  connect(a, ADDR(where));
  SAY("client %s", kernel(a, POLLOUT, 0));
  SAY("to accept %s", kernel(l, POLLIN, 0));
  int full = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  pollable(full);
  connect(full, ADDR(where));
  quiet();
  SAY("connecting %s", kernel(full, 0, 0));
  MUST(close(full));
  b = pollable(MUST(accept(l, NULL, NULL)));
  SAY("accepted %s", kernel(l, 0, POLLIN));

  PART("data");
  SAY("idle %s", kernel(b, 0, 0));
  send_all(a, "xy", 2);
  SAY("readable %s", kernel(b, POLLIN, 0));
  recv_all(b, buf, 1);
  SAY("half read %s", kernel(b, POLLIN, 0));
  recv_all(b, buf, 1);
  SAY("read %s", kernel(b, 0, POLLIN));
  SHOW(recv(b, buf, 1, MSG_DONTWAIT));

  PART("a thread in the kernel's epoll");
  pthread_t thread;
  int ep = MUST((epoll_create1)(0));
  struct epoll_event e = {.events = EPOLLIN | EPOLLET | EPOLLRDHUP, .data.fd = b}, got[4];
  MUST((epoll_ctl)(ep, EPOLL_CTL_ADD, b, &e));
  SHOW((epoll_wait)(ep, got, 4, 0));
  MUST(pthread_create(&thread, NULL, answer, &a));
  int n = (epoll_wait)(ep, got, 4, 2000);
  SAY("%d %s", n, bits(got[0].events));
  pthread_join(thread, NULL);
  SHOW((epoll_wait)(ep, got, 4, 0));
  send_all(a, "more", 4);
  n = (epoll_wait)(ep, got, 4, 2000);
  SAY("an edge more: %d %s", n, bits(got[0].events));
  recv_all(b, buf, 8);
  SHOW((epoll_wait)(ep, got, 4, 0));

  PART("a full send buffer");
  nonblocking(a), nonblocking(b);
  while (send(a, buf, sizeof buf, 0) > 0 || (usleep(10000), send(a, buf, sizeof buf, 0) > 0)) {}
  SAY("full %s", kernel(a, 0, POLLOUT));
  while (!(kernel_look(a) & POLLOUT)) recv(b, buf, sizeof buf, 0);
  SAY("drained %s", kernel(a, POLLOUT, 0));
  while (recv(b, buf, sizeof buf, 0) > 0 || (usleep(10000), recv(b, buf, sizeof buf, 0) > 0)) {}
  SAY("emptied %s", kernel(b, 0, POLLIN));

  PART("duplicates");
  int copy = MUST(dup(b));
  send_all(a, "x", 1);
  SAY("%s", kernel(copy, POLLIN, 0));
  recv_all(b, buf, 1);
  SAY("%s", kernel(copy, 0, POLLIN));
  MUST(close(copy));

  PART("half closed, and closed");
  MUST(shutdown(a, SHUT_WR));
  SAY("peer %s", kernel(b, POLLRDHUP, 0));
  SAY("self %s", kernel(a, 0, 0));
  SHOW(recv(b, buf, 1, 0));
  SAY("end read %s", kernel(b, POLLIN, 0));
  MUST(shutdown(b, SHUT_WR));
  SAY("self %s", kernel(a, POLLHUP, 0));
  SAY("peer %s", kernel(b, POLLHUP, 0));
  MUST(close(a)), MUST(close(b)), MUST((close)(ep));

  PART("reset");
  a = pollable(MUST(socket(AF_INET, SOCK_STREAM, 0)));
  MUST(connect(a, ADDR(where)));
  b = pollable(MUST(accept(l, NULL, NULL)));
  struct linger now = {1, 0};
  MUST(setsockopt(a, SOL_SOCKET, SO_LINGER, &now, sizeof now));
  MUST(close(a));
  SAY("%s", kernel(b, POLLERR, 0));
  SAY("error taken: %s", pending(b));
  SAY("%s", kernel(b, 0, POLLERR));
  MUST(close(b));

  PART("refused, and connected then");
  a = pollable(MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)));
  connect(a, ADDR(none));
  SAY("%s", kernel(a, POLLERR, 0));
  SAY("error taken: %s", pending(a));
  SAY("%s", kernel(a, 0, POLLERR));
  while (connect(a, ADDR(where)) && errno == ECONNABORTED) {}
  SAY("%s", kernel(a, POLLOUT, POLLHUP));
  b = MUST(accept(l, NULL, NULL));
  send_all(b, "x", 1);
  SAY("%s", kernel(a, POLLIN, 0));
  MUST(close(a)), MUST(close(b));

  PART("datagrams");
  a = pollable(datagram(&where)), b = datagram(NULL);
  SAY("idle %s", kernel(a, 0, 0));
  MUST(sendto(b, "x", 1, 0, ADDR(where)));
  MUST(sendto(b, "x", 1, 0, ADDR(where)));
  SAY("readable %s", kernel(a, POLLIN, 0));
  MUST(recv(a, buf, 1, 0));
  SAY("one left %s", kernel(a, POLLIN, 0));
  MUST(recv(a, buf, 1, 0));
  SAY("none left %s", kernel(a, 0, POLLIN));

  PART("switched off");
#ifdef SOCKEYE
  set(a, SOL_SOCKEYE, SOCKEYE_POLLABLE, 0);
  if (option(a, SOL_SOCKEYE, SOCKEYE_POLLABLE) != 0) SAY("still pollable");
#endif
  MUST(sendto(b, "z", 1, 0, ADDR(where)));
  SHOW(recv(a, buf, 1, 0));
  MUST(close(a)), MUST(close(b)), MUST(close(l));
  return 0;
}
