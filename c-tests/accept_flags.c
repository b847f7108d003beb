// accept and accept4: flags, addresses, and what an accepted socket inherits.
#include "api.h"

static int dialled(struct sockaddr_in to) {
  int fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(fd, ADDR(to)));
  return fd;
}

static void describe(const char *what, int fd) {
  SAY("%s: nonblock %d cloexec %d", what, !!(MUST(fcntl(fd, F_GETFL)) & O_NONBLOCK), (int)MUST(fcntl(fd, F_GETFD)));
}

int main(void) {
  struct sockaddr_in where, peer;
  socklen_t len;
  int l = listener(8, &where), c, s;

  PART("flags");
  c = dialled(where);
  describe("accept", s = MUST(accept(l, NULL, NULL)));
  MUST(close(c)), MUST(close(s));
  c = dialled(where);
  describe("nonblock", s = MUST(accept4(l, NULL, NULL, SOCK_NONBLOCK)));
  MUST(close(c)), MUST(close(s));
  c = dialled(where);
  describe("cloexec", s = MUST(accept4(l, NULL, NULL, SOCK_CLOEXEC)));
  MUST(close(c)), MUST(close(s));
  c = dialled(where);
  SHOW(accept4(l, NULL, NULL, 0x100000));
  nonblocking(l);
  MUST(fcntl(l, F_SETFD, FD_CLOEXEC));
  describe("from a nonblocking listener", s = MUST(accept(l, NULL, NULL)));
  MUST(close(c)), MUST(close(s));
  SHOW(accept(l, NULL, NULL));
  SHOW(accept4(l, NULL, NULL, SOCK_NONBLOCK));

  PART("addresses");
  c = dialled(where);
  settled(l, POLLIN);
  len = sizeof peer;
  s = MUST(accept(l, (void *)&peer, &len));
  SAY("peer right %d, len %u", peer.sin_port == local(c).sin_port && !strcmp(ip_of(peer), "127.0.0.1"), len);
  MUST(close(c)), MUST(close(s));
  c = dialled(where);
  settled(l, POLLIN);
  len = 4;
  memset(&peer, 0x55, sizeof peer);
  s = MUST(accept(l, (void *)&peer, &len));
  SAY("len %u, beyond untouched %d, port right %d", len, peer.sin_addr.s_addr == 0x55555555,
      peer.sin_port == local(c).sin_port);
  MUST(close(c)), MUST(close(s));
  c = dialled(where);
  settled(l, POLLIN);
  len = (socklen_t)-1;
  SHOW(accept(l, (void *)&peer, &len));
  SHOW(accept(l, NULL, NULL));
  MUST(close(c));

  PART("inherited options");
  set(l, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(l, IPPROTO_TCP, TCP_NODELAY, 1);
  set(l, IPPROTO_TCP, TCP_KEEPIDLE, 77);
  set(l, IPPROTO_TCP, TCP_USER_TIMEOUT, 7777);
  set(l, IPPROTO_IP, IP_TOS, 0x10);
  set(l, IPPROTO_IP, IP_TTL, 33);
  set(l, SOL_SOCKET, SO_REUSEPORT, 1);
  set(l, SOL_SOCKET, SO_OOBINLINE, 1);
  set(l, SOL_SOCKET, SO_RCVLOWAT, 3);
  struct linger lin = {1, 5};
  MUST(setsockopt(l, SOL_SOCKET, SO_LINGER, &lin, sizeof lin));
  struct timeval tv = {3, 0};
  MUST(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
  c = dialled(where);
  settled(l, POLLIN);
  s = MUST(accept(l, NULL, NULL));
  SAY("keepalive %d nodelay %d idle %d user time-out %d", option(s, SOL_SOCKET, SO_KEEPALIVE),
      option(s, IPPROTO_TCP, TCP_NODELAY), option(s, IPPROTO_TCP, TCP_KEEPIDLE),
      option(s, IPPROTO_TCP, TCP_USER_TIMEOUT));
  SAY("tos %d ttl %d reuseport %d oobinline %d lowat %d listening %d", option(s, IPPROTO_IP, IP_TOS),
      option(s, IPPROTO_IP, IP_TTL), option(s, SOL_SOCKET, SO_REUSEPORT), option(s, SOL_SOCKET, SO_OOBINLINE),
      option(s, SOL_SOCKET, SO_RCVLOWAT), option(s, SOL_SOCKET, SO_ACCEPTCONN));
  len = sizeof lin;
  MUST(getsockopt(s, SOL_SOCKET, SO_LINGER, &lin, &len));
  len = sizeof tv;
  MUST(getsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, &len));
  SAY("linger %d %d, receive time-out %ld", lin.l_onoff, lin.l_linger, (long)tv.tv_sec);
  MUST(close(c)), MUST(close(s)), MUST(close(l));

  PART("in the order they came");
  l = listener(8, &where);
  int fds[5];
  for (int i = 0; i < 5; i++) fds[i] = dialled(where);
  for (int i = 0; i < 5; i++) {
    s = MUST(accept(l, NULL, NULL));
    SAY("%d", remote(s).sin_port == local(fds[i]).sin_port);
    MUST(close(s));
  }

  PART("out of descriptors");
  for (int i = 0; i < 5; i++) MUST(close(fds[i]));
  c = dialled(where);
  struct rlimit old, now;
  MUST(getrlimit(RLIMIT_NOFILE, &old));
  now = old, now.rlim_cur = 3;
  MUST(setrlimit(RLIMIT_NOFILE, &now));
  SHOW(socket(AF_INET, SOCK_STREAM, 0));
  SHOW(accept(l, NULL, NULL));
  MUST(setrlimit(RLIMIT_NOFILE, &old));
  s = MUST(accept(l, NULL, NULL));
  SAY("still there after it: %d", remote(s).sin_port == local(c).sin_port);
  return 0;
}
