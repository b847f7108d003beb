// Freeing a stack. What was sent before reaches the peer; afterwards every call on a socket of the stack fails with
// ENETDOWN, but for those that are about the descriptor alone, and poll shows the end. Threads that wait in a call come
// out of it. The kernel has no such thing, so that this one has an expectation of its own (stack_free.expected).
#include "api.h"

static struct sockeye_stack *stack;

static struct sockaddr_in bound(int fd, const char *ip) {
  struct sockaddr_in a = at(ip, 0);
  MUST(bind(fd, ADDR(a)));
  return local(fd);
}

static int udp, fresh, l, a, b;
static struct sockaddr_in where, listening;

static void *blocked_recv(void *arg) {
  char c;
  long got = recv(*(int *)arg, &c, 1, 0);
  return (void *)strerrorname_np(got == -1 ? errno : 0);
}

static void *blocked_accept(void *arg) {
  long got = accept(*(int *)arg, NULL, NULL);
  return (void *)strerrorname_np(got == -1 ? errno : 0);
}

static void calls_on(int fd, struct sockaddr_in to) {
  char buf[8] = "x", control[64];
  int one = 1;
  socklen_t n = sizeof one, len = sizeof to;
  struct iovec part = {buf, 1};
  struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct mmsghdr mm = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
  off_t offset = 0;
  struct sockaddr_in name;
  SHOW(bind(fd, ADDR(to)));
  SHOW(listen(fd, 1));
  SHOW(connect(fd, ADDR(to)));
  SHOW(accept(fd, NULL, NULL));
  SHOW(accept4(fd, NULL, NULL, 0));
  SHOW(shutdown(fd, SHUT_RDWR));
  SHOW(send(fd, buf, 1, MSG_NOSIGNAL));
  SHOW(sendto(fd, buf, 1, MSG_NOSIGNAL, ADDR(to)));
  SHOW(sendmsg(fd, &m, MSG_NOSIGNAL));
  SHOW(sendmmsg(fd, &mm, 1, MSG_NOSIGNAL));
  SHOW(write(fd, buf, 1));
  SHOW(writev(fd, &part, 1));
  m.msg_control = control, m.msg_controllen = sizeof control;
  SHOW(recv(fd, buf, 1, 0));
  SHOW(recvfrom(fd, buf, 1, 0, NULL, NULL));
  SHOW(recvmsg(fd, &m, 0));
  SHOW(recvmsg(fd, &m, MSG_ERRQUEUE));
  SHOW(recvmmsg(fd, &mm, 1, 0, NULL));
  SHOW(read(fd, buf, 1));
  SHOW(readv(fd, &part, 1));
  int file = MUST((memfd_create)("file", 0));
  MUST((write)(file, "x", 1));
  SHOW(sendfile(fd, file, &offset, 1));
  SHOW((close)(file));
  SHOW(getsockname(fd, (struct sockaddr *)&name, &len));
  SHOW(getpeername(fd, (struct sockaddr *)&name, &len));
  SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, &one, &n));
  SHOW(getsockopt(fd, SOL_SOCKET, SO_ERROR, &one, &n));
  SHOW(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, buf, &n));
  SHOW(getsockopt(fd, IPPROTO_IP, IP_TTL, &one, &n));
  SHOW(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one));
  SHOW(setsockopt(fd, SOL_SOCKEYE, SOCKEYE_POLLABLE, &one, sizeof one));
  SHOW(ioctl(fd, FIONREAD, &one));
  SHOW(ioctl(fd, FIONBIO, &one));
  SHOW(fcntl(fd, F_GETFL));
  SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
}

static void the_descriptor_of(int fd) {
  SHOW(fcntl(fd, F_GETFD));
  SHOW(fcntl(fd, F_SETFD, FD_CLOEXEC));
  int copy = dup(fd);
  SAY("dup: %d", copy >= 0);
  SHOW(close(copy));
  SAY("poll: %s", bits(look(fd)));
  struct epoll_event e = {.events = EPOLLIN};
  int ep = MUST(epoll_create1(0));
  SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
  SHOW(close(ep));
  SHOW(close(fd));
}

int main(void) {
  SHOW(sockeye_stack_free_within(NULL, 0));
  stack = sockeye_stack_new("null:");
  udp = MUST(sockeye_msocket(stack, AF_INET, SOCK_DGRAM, 0));
  where = bound(udp, "127.0.0.1");
  fresh = MUST(sockeye_msocket(stack, AF_INET, SOCK_STREAM, 0));
  int bare = MUST(sockeye_msocket(stack, AF_INET, SOCK_DGRAM, 0));
  l = MUST(sockeye_msocket(stack, AF_INET, SOCK_STREAM, 0));
  listening = bound(l, "127.0.0.1");
  MUST(listen(l, 5));
  int idle = MUST(sockeye_msocket(stack, AF_INET, SOCK_STREAM, 0));
  bound(idle, "127.0.0.1");
  MUST(listen(idle, 5));
  a = MUST(sockeye_msocket(stack, AF_INET, SOCK_STREAM, 0));
  MUST(connect(a, ADDR(listening)));
  b = MUST(accept(l, NULL, NULL));
  int pollable = MUST(sockeye_msocket(stack, AF_INET, SOCK_STREAM, 0)), one = 1;
  MUST(setsockopt(pollable, SOL_SOCKEYE, SOCKEYE_POLLABLE, &one, sizeof one));
  MUST(connect(pollable, ADDR(listening)));
  int ep = MUST(epoll_create1(0));
  struct epoll_event e = {.events = EPOLLIN};
  MUST(epoll_ctl(ep, EPOLL_CTL_ADD, a, &e));

  PART("threads that wait");
  pthread_t threads[3];
  pthread_create(&threads[0], NULL, blocked_recv, &a);
  pthread_create(&threads[1], NULL, blocked_recv, &udp);
  pthread_create(&threads[2], NULL, blocked_accept, &idle);
  quiet();
  SHOW(sockeye_stack_free_within(stack, 10000));
  const char *names[] = {"recv on a stream", "recv on datagrams", "accept"};
  for (int i = 0; i < 3; i++) {
    void *ended;
    pthread_join(threads[i], &ended);
    SAY("%s: %s", names[i], (char *)ended);
  }
  SHOW(epoll_wait(ep, &e, 1, 0));
  SAY("epoll: %s", bits(e.events));
  struct pollfd p = {.fd = pollable, .events = POLLIN};
  SHOW((poll)(&p, 1, 0));
  SAY("the kernel's poll: %s", bits(p.revents));

  PART("the stack");
  SAY("msocket: %d %s", sockeye_msocket(stack, AF_INET, SOCK_STREAM, 0), strerrorname_np(errno));
  SAY("counter: %ld %s", (long)sockeye_counter(stack, "TcpActiveOpens"), strerrorname_np(errno));
  SHOW(sockeye_stack_free_within(stack, 0));
  sockeye_stack_free(stack);

  PART("a connection");
  calls_on(a, listening);
  the_descriptor_of(a);
  PART("a listener");
  calls_on(l, listening);
  the_descriptor_of(l);
  PART("a fresh stream");
  calls_on(fresh, listening);
  the_descriptor_of(fresh);
  PART("a bound datagram socket");
  calls_on(udp, where);
  the_descriptor_of(udp);
  PART("a fresh datagram socket");
  calls_on(bare, where);
  the_descriptor_of(bare);
  SHOW(close(pollable));
  SHOW(close(idle));
  SHOW(close(b));
  SHOW(close(ep));

  PART("another stack is not disturbed");
  connection(&a, &b);
  send_all(a, "hello", 5);
  char buf[5];
  recv_all(b, buf, 5);
  SAY("%.5s", buf);
  return 0;
}
