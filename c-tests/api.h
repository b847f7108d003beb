// The socket calls of a test under their plain names. Compiled as it stands a test runs on the kernel; with -DSOCKEYE
// every socket call gets its prefix and the same test runs on Sockeye. Both must print the same. `(close)(fd)`, with
// parentheses, is always the C library's own.
#ifndef C_TESTS_API_H
#define C_TESTS_API_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef SOCKEYE
#include "sockeye.h"
#define socket(...) sockeye_socket(__VA_ARGS__)
#define bind(...) sockeye_bind(__VA_ARGS__)
#define listen(...) sockeye_listen(__VA_ARGS__)
#define accept(...) sockeye_accept(__VA_ARGS__)
#define accept4(...) sockeye_accept4(__VA_ARGS__)
#define connect(...) sockeye_connect(__VA_ARGS__)
#define shutdown(...) sockeye_shutdown(__VA_ARGS__)
#define close(...) sockeye_close(__VA_ARGS__)
#define send(...) sockeye_send(__VA_ARGS__)
#define sendto(...) sockeye_sendto(__VA_ARGS__)
#define sendmsg(...) sockeye_sendmsg(__VA_ARGS__)
#define recv(...) sockeye_recv(__VA_ARGS__)
#define recvfrom(...) sockeye_recvfrom(__VA_ARGS__)
#define recvmsg(...) sockeye_recvmsg(__VA_ARGS__)
#define read(...) sockeye_read(__VA_ARGS__)
#define write(...) sockeye_write(__VA_ARGS__)
#define readv(...) sockeye_readv(__VA_ARGS__)
#define writev(...) sockeye_writev(__VA_ARGS__)
#define getsockopt(...) sockeye_getsockopt(__VA_ARGS__)
#define setsockopt(...) sockeye_setsockopt(__VA_ARGS__)
#define getsockname(...) sockeye_getsockname(__VA_ARGS__)
#define getpeername(...) sockeye_getpeername(__VA_ARGS__)
#define fcntl(...) sockeye_fcntl(__VA_ARGS__)
#define ioctl(...) sockeye_ioctl(__VA_ARGS__)
#define dup(...) sockeye_dup(__VA_ARGS__)
#define dup2(...) sockeye_dup2(__VA_ARGS__)
#define dup3(...) sockeye_dup3(__VA_ARGS__)
#define poll(...) sockeye_poll(__VA_ARGS__)
#define ppoll(...) sockeye_ppoll(__VA_ARGS__)
#define select(...) sockeye_select(__VA_ARGS__)
#define pselect(...) sockeye_pselect(__VA_ARGS__)
#define sendmmsg(...) sockeye_sendmmsg(__VA_ARGS__)
#define recvmmsg(...) sockeye_recvmmsg(__VA_ARGS__)
#define sendfile(...) sockeye_sendfile(__VA_ARGS__)
#define epoll_create1(...) sockeye_epoll_create1(__VA_ARGS__)
#define epoll_ctl(...) sockeye_epoll_ctl(__VA_ARGS__)
#define epoll_wait(...) sockeye_epoll_wait(__VA_ARGS__)
#define epoll_pwait(...) sockeye_epoll_pwait(__VA_ARGS__)
#endif

#define UNUSED __attribute__((unused))

// Lines appear as they are printed, so that a test that hangs or dies shows how far it came.
__attribute__((constructor)) static void line_by_line(void) { setvbuf(stdout, NULL, _IOLBF, 1 << 16); }

// Prints one line, in one call, so that lines of several threads stay whole.
#define SAY(format, ...) (printf(format "\n", ##__VA_ARGS__), (void)fflush(stdout))

// Prints a title between groups of lines.
#define PART(title) SAY("-- %s", title)

// Runs a call, prints it with what it returned (and errno's name when it failed), and returns that.
#define SHOW(call) show(#call, (long)(call))
UNUSED static long show(const char *call, long ret) {
  int e = errno;
  if (ret == -1) SAY("%s: -1 %s", call, strerrorname_np(e));
  else SAY("%s: %ld", call, ret);
  errno = e;
  return ret;
}

// A call that a test stands on and does not test: anything but success ends it.
#define MUST(call) must(#call, __LINE__, (long)(call))
UNUSED static long must(const char *call, int line, long ret) {
  if (ret == -1) {
    SAY("line %d: %s failed: %s", line, call, strerrorname_np(errno));
    exit(1);
  }
  return ret;
}

// An amount of work, less of it when the environment says that the machine is slow (valgrind).
UNUSED static long scaled(long amount) {
  const char *divisor = getenv("C_TESTS_DIVIDE");
  return divisor ? amount / atol(divisor) / 8 * 8 + 8 : amount;
}

UNUSED static long milliseconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// poll's bits by name. Four results may be alive at once.
UNUSED static const char *bits(unsigned ev) {
  static const struct { unsigned bit; const char *name; } names[] = {
      {POLLIN, "IN"},         {POLLPRI, "PRI"},       {POLLOUT, "OUT"},       {POLLERR, "ERR"},
      {POLLHUP, "HUP"},       {POLLNVAL, "NVAL"},     {POLLRDNORM, "RDNORM"}, {POLLRDBAND, "RDBAND"},
      {POLLWRNORM, "WRNORM"}, {POLLWRBAND, "WRBAND"}, {POLLRDHUP, "RDHUP"},
  };
  static _Thread_local char ring[4][96];
  static _Thread_local int turn;
  char *out = ring[turn++ & 3];
  *out = 0;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (ev & names[i].bit) {
      if (*out) strcat(out, "|");
      strcat(out, names[i].name);
    }
  return *out ? out : "nothing";
}

// What poll says of one descriptor right now.
UNUSED static int look(int fd) {
  struct pollfd p = {.fd = fd, .events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP};
  MUST(poll(&p, 1, 0));
  return p.revents;
}

// What poll says once all of `want` are there, or after two seconds.
UNUSED static int settled(int fd, int want) {
  long end = milliseconds() + 2000;
  int have;
  while ((have = look(fd), (have & want) != want) && milliseconds() < end) usleep(500);
  return have;
}

// Leaves the network a moment in which nothing is expected to happen.
UNUSED static void quiet(void) { usleep(30000); }

UNUSED static struct sockaddr_in at(const char *ip, int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, ip, &a.sin_addr);
  return a;
}

UNUSED static struct sockaddr_in local(int fd) {
  struct sockaddr_in a;
  socklen_t n = sizeof a;
  MUST(getsockname(fd, (struct sockaddr *)&a, &n));
  return a;
}

UNUSED static struct sockaddr_in remote(int fd) {
  struct sockaddr_in a;
  socklen_t n = sizeof a;
  MUST(getpeername(fd, (struct sockaddr *)&a, &n));
  return a;
}

UNUSED static const char *ip_of(struct sockaddr_in a) {
  static _Thread_local char text[4][INET_ADDRSTRLEN];
  static _Thread_local int turn;
  return inet_ntop(AF_INET, &a.sin_addr, text[turn++ & 3], INET_ADDRSTRLEN);
}

#define ADDR(a) (struct sockaddr *)&(a), sizeof(a)

// A listening socket on 127.0.0.1, port chosen by the system, and its address.
UNUSED static int listener(int backlog, struct sockaddr_in *where) {
  int fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  struct sockaddr_in a = at("127.0.0.1", 0);
  MUST(bind(fd, ADDR(a)));
  MUST(listen(fd, backlog));
  *where = local(fd);
  return fd;
}

// The two ends of a fresh connection.
UNUSED static void connection(int *client, int *server) {
  struct sockaddr_in a;
  int l = listener(8, &a);
  *client = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(*client, ADDR(a)));
  *server = MUST(accept(l, NULL, NULL));
  MUST(close(l));
}

// A datagram socket bound to 127.0.0.1, and its address.
UNUSED static int datagram(struct sockaddr_in *where) {
  int fd = MUST(socket(AF_INET, SOCK_DGRAM, 0));
  struct sockaddr_in a = at("127.0.0.1", 0);
  MUST(bind(fd, ADDR(a)));
  if (where) *where = local(fd);
  return fd;
}

// An address of 127.0.0.1 nobody listens at.
UNUSED static struct sockaddr_in nobody(int type) {
  int fd = MUST(socket(AF_INET, type, 0));
  struct sockaddr_in a = at("127.0.0.1", 0);
  MUST(bind(fd, ADDR(a)));
  a = local(fd);
  MUST(close(fd));
  return a;
}

UNUSED static int option(int fd, int level, int name) {
  int value = -12345;
  socklen_t n = sizeof value;
  if (getsockopt(fd, level, name, &value, &n)) {
    SAY("getsockopt(%d, %d): %s", level, name, strerrorname_np(errno));
    return -1;
  }
  return value;
}

UNUSED static void set(int fd, int level, int name, int value) {
  if (setsockopt(fd, level, name, &value, sizeof value)) {
    SAY("setsockopt(%d, %d, %d): %s", level, name, value, strerrorname_np(errno));
    exit(1);
  }
}

UNUSED static void nonblocking(int fd) { MUST(fcntl(fd, F_SETFL, MUST(fcntl(fd, F_GETFL)) | O_NONBLOCK)); }

// The pending error by name; "none" when there is none.
UNUSED static const char *pending(int fd) {
  int e = option(fd, SOL_SOCKET, SO_ERROR);
  return e ? strerrorname_np(e) : "none";
}

// Sends or receives all of it, or ends the test.
UNUSED static void send_all(int fd, const void *data, size_t n) {
  for (const char *p = data; n;) {
    long sent = MUST(send(fd, p, n, MSG_NOSIGNAL));
    p += sent, n -= sent;
  }
}

UNUSED static void recv_all(int fd, void *data, size_t n) {
  for (char *p = data; n;) {
    long got = MUST(recv(fd, p, n, 0));
    if (!got) {
      SAY("data ended %zu bytes early", n);
      exit(1);
    }
    p += got, n -= got;
  }
}

// A tiny hash for bulk data: FNV-1a, eight bytes at a time.
UNUSED static uint64_t hash_more(uint64_t h, const void *data, size_t n) {
  const unsigned char *p = data;
  for (; n >= 8; p += 8, n -= 8) {
    uint64_t w;
    memcpy(&w, p, 8);
    h = (h ^ w) * 0x100000001b3ull;
  }
  for (; n; p++, n--) h = (h ^ *p) * 0x100000001b3ull;
  return h;
}
#define HASH_START 0xcbf29ce484222325ull

#endif
