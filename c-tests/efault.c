// Bad pointers everywhere: EFAULT where Linux gives it, and nothing lost or changed by the failure.
#include "api.h"

static char *bad;     // an address that is not mapped
static char *edge;    // eight bytes that are, followed by some that are not
static char *sealed;  // memory that may only be read

static void arrived(int fd, int n) {
  int have = 0;
  for (long end = milliseconds() + 2000; have < n && milliseconds() < end; usleep(500)) MUST(ioctl(fd, FIONREAD, &have));
}

static void map(void) {
  char *two = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mprotect(two + 4096, 4096, PROT_NONE);
  edge = two + 4096 - 8;
  bad = (char *)8;
  sealed = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void streams(void) {
  int a, b, n;
  char buf[32];
  PART("streams");
  connection(&a, &b);
  SHOW(send(a, bad, 10, 0));
  SHOW(write(a, bad, 10));
  SHOW(send(a, bad, 0, 0));
  SHOW(send(a, edge + 8, 1, 0));
  send_all(a, "abcdefgh", 8), arrived(b, 8);
  SHOW(recv(b, bad, 4, 0));
  SHOW(read(b, bad, 4));
  SHOW(recv(b, sealed, 4, 0));
  SHOW(recv(b, bad, 4, MSG_PEEK));
  SHOW(recv(b, buf, 8, 0));
  SAY("nothing lost: %.8s", buf);
  struct iovec io = {bad, 4};
  struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
  SHOW(sendmsg(a, &m, 0));
  SHOW(writev(a, &io, 1));
  SHOW(sendmsg(a, (void *)bad, 0));
  SHOW(recvmsg(b, (void *)bad, MSG_DONTWAIT));
  SHOW(writev(a, (void *)bad, 1));
  SHOW(readv(b, (void *)bad, 1));
  m.msg_iov = (void *)bad;
  SHOW(sendmsg(a, &m, 0));
  SHOW(recvmsg(b, &m, MSG_DONTWAIT));
  send_all(a, "ijkl", 4), arrived(b, 4);
  m.msg_iov = &io;
  SHOW(recvmsg(b, &m, 0));
  SHOW(readv(b, &io, 1));
  SHOW(recv(b, buf, 8, 0));

  PART("names and options");
  socklen_t len = 16;
  SHOW(getsockname(a, (void *)bad, &len));
  SHOW(getsockname(a, (void *)buf, (void *)bad));
  SHOW(getpeername(a, (void *)bad, &len));
  SHOW(getpeername(a, (void *)buf, (void *)bad));
  SHOW(bind(a, (void *)bad, 16));
  SHOW(connect(a, (void *)bad, 16));
  SHOW(setsockopt(a, SOL_SOCKET, SO_KEEPALIVE, bad, 4));
  SHOW(setsockopt(a, SOL_SOCKET, SO_KEEPALIVE, NULL, 4));
  SHOW(setsockopt(a, IPPROTO_TCP, TCP_NODELAY, bad, 4));
  SHOW(setsockopt(a, IPPROTO_IP, IP_TTL, bad, 4));
  SHOW(setsockopt(a, SOL_SOCKET, SO_LINGER, bad, sizeof(struct linger)));
  SHOW(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, bad, sizeof(struct timeval)));
  len = 4;
  SHOW(getsockopt(a, SOL_SOCKET, SO_KEEPALIVE, bad, &len));
  SHOW(getsockopt(a, SOL_SOCKET, SO_KEEPALIVE, buf, (void *)bad));
  SHOW(getsockopt(a, IPPROTO_TCP, TCP_NODELAY, bad, &len));
  SHOW(getsockopt(a, IPPROTO_IP, IP_TTL, bad, &len));
  len = 100;
  SHOW(getsockopt(a, IPPROTO_TCP, TCP_INFO, bad, &len));
  SHOW(ioctl(a, FIONREAD, bad));
  SHOW(ioctl(a, FIONBIO, bad));
  SHOW(ioctl(a, SIOCOUTQ, bad));
  SHOW(ioctl(a, SIOCATMARK, bad));
  MUST(ioctl(a, SIOCOUTQ, &n));
  MUST(close(a)), MUST(close(b));
}

static void accepting(void) {
  struct sockaddr_in where;
  char buf[32];
  PART("accepting");
  int l = listener(5, &where);
  nonblocking(l);
  int c = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(c, ADDR(where))), settled(l, POLLIN);
  socklen_t len = 16;
  SHOW(accept(l, (void *)bad, &len));
  MUST(close(c));
  c = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(c, ADDR(where))), settled(l, POLLIN);
  SHOW(accept(l, (void *)buf, (void *)bad));
  MUST(close(c)), MUST(close(l));
}

static void datagrams(void) {
  struct sockaddr_in where;
  char buf[32];
  PART("datagrams");
  int d = datagram(&where), e = datagram(NULL);
  SHOW(sendto(e, bad, 10, 0, ADDR(where)));
  SHOW(sendto(e, "x", 1, 0, (void *)bad, 16));
  MUST(sendto(e, "one", 3, 0, ADDR(where))), settled(d, POLLIN);
  SHOW(recv(d, bad, 10, MSG_PEEK));
  SHOW(recv(d, bad, 10, 0));
  MUST(sendto(e, "two", 3, 0, ADDR(where))), settled(d, POLLIN);
  socklen_t len = 16;
  SHOW(recvfrom(d, buf, 10, MSG_PEEK, (void *)bad, &len));
  SHOW(recvfrom(d, buf, 10, MSG_PEEK, (void *)buf, (void *)bad));
  MUST(close(d)), MUST(close(e));
}

static void waiting(void) {
  int a, b;
  PART("waiting");
  connection(&a, &b);
  SHOW(poll((void *)bad, 1, 0));
  SHOW(poll(NULL, 1, 0));
  SHOW(ppoll(&(struct pollfd){.fd = a}, 1, &(struct timespec){0, 0}, (void *)bad));
  SHOW(select(a + 1, (void *)bad, NULL, NULL, NULL));
  int ep = MUST(epoll_create1(0));
  struct epoll_event ev = {.events = EPOLLOUT};
  SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, a, (void *)bad));
  MUST(epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev));
  SHOW(epoll_ctl(ep, EPOLL_CTL_MOD, a, NULL));
  SHOW(epoll_wait(ep, (void *)bad, 1, 0));
  SHOW(epoll_wait(ep, NULL, 1, 0));
  SHOW(epoll_wait(ep, &ev, 1, 0));
}

int main(void) {
  map();
  streams();
  accepting();
  datagrams();
  waiting();
  return 0;
}
