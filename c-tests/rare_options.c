// Options that few programs set, what they leave behind, and addresses that are nobody's (IP_FREEBIND). The
// administrator has set what sockets begin with (tests/build).
#include "api.h"

static const int values[] = {1, 0, 2, 5, 100, 121, 70000, -1, INT_MAX, INT_MIN, 0};

static void numbers(int fd, int level, int name, const char *text) {
  SAY("%s: %d", text, option(fd, level, name));
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    int failed = setsockopt(fd, level, name, &values[i], sizeof values[i]);
    const char *said = failed ? strerrorname_np(errno) : "ok";
    SAY("  %d: %s, now %d", values[i], said, option(fd, level, name));
  }
  char byte = 1;
  SAY("  short: %s", setsockopt(fd, level, name, &byte, 1) ? strerrorname_np(errno) : "ok");
  SAY("  now %d", option(fd, level, name));
}

// A type of service has a priority.
static void services(int fd) {
  for (int tos = 0; tos < 32; tos += 8) {
    set(fd, IPPROTO_IP, IP_TOS, tos);
    SAY("service %d: priority %d", tos, option(fd, SOL_SOCKET, SO_PRIORITY));
  }
}

// Buffers beyond what anybody may have. Programs on a stack are its administrator, as root is the kernel's.
static void forced(int fd, int force, int plain, const char *text) {
  static const int sizes[] = {-1, 1, 50000, 200 << 20, INT_MAX};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    int failed = setsockopt(fd, SOL_SOCKET, force, &sizes[i], sizeof sizes[i]);
    SAY("%s %d: %s, now %d", text, sizes[i], failed ? strerrorname_np(errno) : "ok", option(fd, SOL_SOCKET, plain));
  }
  int value;
  socklen_t n = sizeof value;
  SAY("  read: %s", getsockopt(fd, SOL_SOCKET, force, &value, &n) ? strerrorname_np(errno) : "ok");
}

// What a connection has of its listener.
static void inherited(void) {
  struct sockaddr_in where;
  int l = listener(8, &where), c = MUST(socket(AF_INET, SOCK_STREAM, 0));
  set(l, SOL_SOCKET, SO_MARK, 7);
  set(l, SOL_SOCKET, SO_BUSY_POLL, 50);
  set(l, IPPROTO_TCP, TCP_LINGER2, 11);
  set(l, IPPROTO_IP, IP_FREEBIND, 1);
  set(l, SOL_SOCKET, SO_PRIORITY, 9);
  int first = option(c, SOL_SOCKET, SO_SNDBUF), later = option(c, SOL_SOCKET, SO_RCVBUF);
  MUST(connect(c, ADDR(where)));
  int a = MUST(accept(l, NULL, NULL));
  SAY("mark %d, busy poll %d, linger2 %d, freebind %d", option(a, SOL_SOCKET, SO_MARK), option(a, SOL_SOCKET, SO_BUSY_POLL),
      option(a, IPPROTO_TCP, TCP_LINGER2), option(a, IPPROTO_IP, IP_FREEBIND));
  SAY("its peer: linger2 %d", option(c, IPPROTO_TCP, TCP_LINGER2));
  SAY("priority %d, of the listener %d", option(a, SOL_SOCKET, SO_PRIORITY), option(l, SOL_SOCKET, SO_PRIORITY));
  SAY("send buffers have grown: %d %d, and the listener's %d", option(c, SOL_SOCKET, SO_SNDBUF) > first,
      option(a, SOL_SOCKET, SO_SNDBUF) > first, option(l, SOL_SOCKET, SO_SNDBUF) > first);
  SAY("receive buffers are: %d %d", option(c, SOL_SOCKET, SO_RCVBUF) >= later, option(a, SOL_SOCKET, SO_RCVBUF) >= later);
  set(c, SOL_SOCKET, SO_SNDBUF, 30000);
  SAY("one that is set stays: %d", option(c, SOL_SOCKET, SO_SNDBUF));
  MUST(close(a)), MUST(close(c)), MUST(close(l));
}

// A mark that goes with one datagram.
static void marked(size_t length) {
  struct sockaddr_in where;
  int fd = datagram(&where);
  char control[CMSG_SPACE(8)] = {0}, got[4];
  struct iovec data = {"abc", 3};
  struct msghdr m = {.msg_name = &where, .msg_namelen = sizeof where, .msg_iov = &data, .msg_iovlen = 1};
  m.msg_control = control, m.msg_controllen = CMSG_SPACE(length);
  struct cmsghdr *head = CMSG_FIRSTHDR(&m);
  head->cmsg_level = SOL_SOCKET, head->cmsg_type = SO_MARK, head->cmsg_len = CMSG_LEN(length);
  if (SHOW(sendmsg(fd, &m, 0)) > 0) SHOW(recv(fd, got, sizeof got, 0));
  MUST(close(fd));
}

static int nowhere(int type, int on) {
  int fd = MUST(socket(AF_INET, type, 0));
  struct sockaddr_in a = at("192.0.2.77", 8077);
  set(fd, IPPROTO_IP, IP_FREEBIND, on);
  SHOW(bind(fd, ADDR(a)));
  return fd;
}

static void freebind(int type) {
  struct sockaddr_in where = nobody(SOCK_DGRAM);
  MUST(close(nowhere(type, 0)));
  int fd = nowhere(type, 1);
  struct sockaddr_in a = local(fd);
  SAY("%s %d", ip_of(a), ntohs(a.sin_port));
  int second = nowhere(type, 1);
  MUST(close(second));
  if (type == SOCK_STREAM) {
    SHOW(listen(fd, 8));
    SAY("%s", bits(look(fd)));
  } else {
    SHOW(sendto(fd, "x", 1, 0, ADDR(where)));
  }
  MUST(close(fd));
  fd = nowhere(type, 1);
  SHOW(connect(fd, ADDR(where)));
  SAY("%s", pending(fd));
  a = local(fd);
  SAY("%s %d", ip_of(a), ntohs(a.sin_port));
  MUST(close(fd));
}

int main(void) {
  for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++) {
    PART(type == SOCK_STREAM ? "stream" : "datagrams");
    int fd = MUST(socket(AF_INET, type, 0));
    numbers(fd, SOL_SOCKET, SO_MARK, "SO_MARK");
    numbers(fd, SOL_SOCKET, SO_PRIORITY, "SO_PRIORITY");
    services(fd);
    forced(fd, SO_SNDBUFFORCE, SO_SNDBUF, "SO_SNDBUFFORCE");
    forced(fd, SO_RCVBUFFORCE, SO_RCVBUF, "SO_RCVBUFFORCE");
    numbers(fd, SOL_SOCKET, SO_BUSY_POLL, "SO_BUSY_POLL");
    numbers(fd, IPPROTO_IP, IP_FREEBIND, "IP_FREEBIND");
    MUST(close(fd));
    fd = MUST(socket(AF_INET, type, 0));
    if (type == SOCK_STREAM) {
      SAY("buffers %d %d", option(fd, SOL_SOCKET, SO_SNDBUF), option(fd, SOL_SOCKET, SO_RCVBUF));
      numbers(fd, IPPROTO_TCP, TCP_LINGER2, "TCP_LINGER2");
      numbers(fd, IPPROTO_TCP, TCP_THIN_DUPACK, "TCP_THIN_DUPACK");
    }
    MUST(close(fd));
    freebind(type);
  }
  PART("a mark by message");
  marked(4);
  marked(8);
  PART("what is inherited");
  inherited();
  return 0;
}
