// The options programs use: default, what setting leaves behind, and the errno of every bad value and length.
#include "api.h"

#define NAME(level, name) {level, name, #name}
static const struct { int level, name; const char *text; } numbers[] = {
    NAME(SOL_SOCKET, SO_REUSEADDR),   NAME(SOL_SOCKET, SO_REUSEPORT), NAME(SOL_SOCKET, SO_KEEPALIVE),
    NAME(SOL_SOCKET, SO_BROADCAST),   NAME(SOL_SOCKET, SO_OOBINLINE), NAME(SOL_SOCKET, SO_DONTROUTE),
    NAME(SOL_SOCKET, SO_RCVLOWAT),    NAME(SOL_SOCKET, SO_SNDLOWAT),  NAME(SOL_SOCKET, SO_TYPE),
    NAME(SOL_SOCKET, SO_DOMAIN),      NAME(SOL_SOCKET, SO_PROTOCOL),  NAME(SOL_SOCKET, SO_ACCEPTCONN),
    NAME(SOL_SOCKET, SO_ERROR),       NAME(SOL_SOCKET, SO_TIMESTAMP), NAME(SOL_SOCKET, SO_TIMESTAMPNS),
    NAME(IPPROTO_IP, IP_TOS),         NAME(IPPROTO_IP, IP_TTL),       NAME(IPPROTO_IP, IP_MTU_DISCOVER),
    NAME(IPPROTO_IP, IP_RECVTOS),     NAME(IPPROTO_IP, IP_RECVTTL),   NAME(IPPROTO_IP, IP_PKTINFO),
    NAME(IPPROTO_IP, IP_RECVERR),     NAME(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
    NAME(IPPROTO_IP, IP_HDRINCL),     NAME(IPPROTO_IP, IP_MULTICAST_TTL), NAME(IPPROTO_IP, IP_MULTICAST_LOOP),
    NAME(IPPROTO_IP, IP_MTU),
    NAME(IPPROTO_TCP, TCP_NODELAY),   NAME(IPPROTO_TCP, TCP_CORK),    NAME(IPPROTO_TCP, TCP_KEEPIDLE),
    NAME(IPPROTO_TCP, TCP_KEEPINTVL), NAME(IPPROTO_TCP, TCP_KEEPCNT), NAME(IPPROTO_TCP, TCP_SYNCNT),
    NAME(IPPROTO_TCP, TCP_LINGER2),   NAME(IPPROTO_TCP, TCP_DEFER_ACCEPT), NAME(IPPROTO_TCP, TCP_QUICKACK),
    NAME(IPPROTO_TCP, TCP_USER_TIMEOUT), NAME(IPPROTO_TCP, TCP_MAXSEG), NAME(IPPROTO_TCP, TCP_WINDOW_CLAMP),
    NAME(IPPROTO_TCP, 9999),          NAME(IPPROTO_IP, 9999),         NAME(SOL_SOCKET, 9999),
    NAME(999, 1),
};

static const char *getting(int fd, int level, int name) {
  static char text[4][64];
  static int turn;
  char *out = text[turn++ & 3];
  int v = -77;
  socklen_t n = sizeof v;
  if (getsockopt(fd, level, name, &v, &n)) snprintf(out, 64, "%s", strerrorname_np(errno));
  else if (n == 1) snprintf(out, 64, "byte %d", *(unsigned char *)&v);
  else if (n == 4) snprintf(out, 64, "%d", v);
  else snprintf(out, 64, "%d in %u bytes", v, n);
  return out;
}

static const char *setting(int fd, int level, int name, const void *v, socklen_t n) {
  return setsockopt(fd, level, name, v, n) ? strerrorname_np(errno) : "ok";
}

// Options whose stored value depends on the kernel's settings or clock ticks are only looked at for errors.
static int varies(int name, const char *text, int value) {
  if (!strcmp(text, "TCP_WINDOW_CLAMP") || !strcmp(text, "TCP_DEFER_ACCEPT")) return value != 0;
  if (!strcmp(text, "SO_RCVLOWAT")) return value > 1000 || value < 0;
  return name == TCP_MAXSEG && !strcmp(text, "TCP_MAXSEG");
}

static void numeric(int type) {
  static const int values[] = {1, 0, 2, 3, 77, 100, 256, 1000, 32768, 100000, -1, INT_MAX, INT_MIN};
  PART(type == SOCK_STREAM ? "numbers on a stream" : "numbers on a datagram socket");
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    const char *text = numbers[i].text;
    int level = numbers[i].level, name = numbers[i].name, fd = MUST(socket(AF_INET, type, 0));
    SAY("%s: %s", text, varies(name, text, 1) ? "varies" : getting(fd, level, name));
    for (size_t j = 0; j < sizeof values / sizeof *values; j++) {
      const char *set = setting(fd, level, name, &values[j], sizeof values[j]);
      SAY("  %d: %s, now %s", values[j], set, varies(name, text, values[j]) ? "varies" : getting(fd, level, name));
    }
    MUST(close(fd));
    // A byte is enough for some, too short for others.
    fd = MUST(socket(AF_INET, type, 0));
    unsigned char byte = 1;
    SAY("  a byte: %s", setting(fd, level, name, &byte, 1));
    SAY("  nothing: %s", setting(fd, level, name, &byte, 0));
    SAY("  too long: %s", setting(fd, level, name, (int[2]){1, 0}, 8));
    MUST(close(fd));
    fd = MUST(socket(AF_INET, type, 0));
    for (int size = 0; size <= 8; size++) {
      int v[3] = {-1, -1, -1};
      socklen_t n = size;
      int r = getsockopt(fd, level, name, v, &n);
      if (varies(name, text, 1)) v[0] = 0;
      SAY("  get in %d: %s, len %u, %x", size, r ? strerrorname_np(errno) : "ok", n, v[0]);
    }
    socklen_t n = (socklen_t)-1;
    int v;
    SAY("  get in -1: %s", getsockopt(fd, level, name, &v, &n) ? strerrorname_np(errno) : "ok");
    MUST(close(fd));
  }
}

static void structures(void) {
  int fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  PART("linger");
  struct linger l = {9, 9};
  socklen_t n = sizeof l;
  SHOW(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &n));
  SAY("%d %d, %u", l.l_onoff, l.l_linger, n);
  for (int i = 0; i < 4; i++) {
    l = (struct linger[]){{1, 5}, {0, 7}, {7, 0}, {1, -1}}[i];
    const char *set = setting(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    n = sizeof l;
    MUST(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &n));
    if (i == 3) l.l_linger = -1;
    SAY("%s: %d %d", set, l.l_onoff, l.l_linger);
  }
  SAY("short %s", setting(fd, SOL_SOCKET, SO_LINGER, &l, 4));

  PART("buffers");
  for (int which = 0; which < 2; which++) {
    int name = which ? SO_RCVBUF : SO_SNDBUF, size = 65536;
    SAY("positive %d", option(fd, SOL_SOCKET, name) > 0);
    SAY("%s, doubled to %s", setting(fd, SOL_SOCKET, name, &size, 4), getting(fd, SOL_SOCKET, name));
    size = 1;
    SAY("%s, at least %d", setting(fd, SOL_SOCKET, name, &size, 4), option(fd, SOL_SOCKET, name) > 1000);
    size = -1;
    SAY("%s, is large %d", setting(fd, SOL_SOCKET, name, &size, 4), option(fd, SOL_SOCKET, name) > 65536);
    SAY("%s", setting(fd, SOL_SOCKET, name, &size, 3));
  }

  PART("congestion control");
  char name[32] = "";
  n = sizeof name;
  SHOW(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n));
  SAY("a name %d, len %u", *name != 0, n);
  SAY("%s", setting(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
  n = sizeof name;
  SHOW(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n));
  SAY("%s, len %u", name, n);
  memset(name, '.', sizeof name);
  n = 2;
  SHOW(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n));
  SAY("%.4s, len %u", name, n);
  SAY("unknown %s", setting(fd, IPPROTO_TCP, TCP_CONGESTION, "nosuch", 6));
  SAY("empty %s", setting(fd, IPPROTO_TCP, TCP_CONGESTION, "", 0));

  PART("others");
  n = sizeof name;
  SHOW(getsockopt(fd, IPPROTO_IP, IP_OPTIONS, name, &n));
  SAY("no options: len %u", n);
  SHOW(getsockopt(fd, IPPROTO_IP, IP_MTU, &l, &n));
  int size = 1000;
  SAY("maxseg %s", setting(fd, IPPROTO_TCP, TCP_MAXSEG, &size, 4));
  MUST(close(fd));
  int a, b;
  connection(&a, &b);
  SAY("mss plausible %d", option(a, IPPROTO_TCP, TCP_MAXSEG) > 500);
  SAY("mtu above it %d", option(a, IPPROTO_IP, IP_MTU) > option(a, IPPROTO_TCP, TCP_MAXSEG));
  struct linger both;
  n = sizeof both;
  SHOW(getsockopt(a, SOL_SOCKET, SO_PEERCRED, &both, &n));
  MUST(close(a)), MUST(close(b));
}

int main(void) {
  numeric(SOCK_STREAM);
  numeric(SOCK_DGRAM);
  structures();
  return 0;
}
