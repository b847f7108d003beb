// Which binds may stand side by side: addresses, SO_REUSEADDR, SO_REUSEPORT, listeners, both protocols.
#include "api.h"

static int opened(int type, int reuse_addr, int reuse_port) {
  int fd = MUST(socket(AF_INET, type, 0));
  set(fd, SOL_SOCKET, SO_REUSEADDR, reuse_addr);
  set(fd, SOL_SOCKET, SO_REUSEPORT, reuse_port);
  return fd;
}

static const char *try_bind(int fd, const char *ip, int port) {
  struct sockaddr_in a = at(ip, port);
  return bind(fd, ADDR(a)) ? strerrorname_np(errno) : "bound";
}

static const char *try_listen(int fd) { return listen(fd, 5) ? strerrorname_np(errno) : "listens"; }

static void table(const char *what, int type) {
  static const char *ips[] = {"0.0.0.0", "127.0.0.1", "127.0.0.2"};
  PART(what);
  for (int flags = 0; flags < 16; flags++)
    for (int i = 0; i < 3; i++)
      for (int j = 0; j < 3; j++) {
        int a = opened(type, flags & 1, flags & 2), b = opened(type, flags & 4, flags & 8);
        MUST(bind(a, (void *)&(struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(ips[i])}, 16));
        const char *second = try_bind(b, ips[j], ntohs(local(a).sin_port));
        SAY("%s%s %s then %s%s %s: %s", flags & 1 ? "A" : "-", flags & 2 ? "P" : "-", ips[i], flags & 4 ? "A" : "-",
            flags & 8 ? "P" : "-", ips[j], second);
        MUST(close(a)), MUST(close(b));
      }
}

int main(void) {
  table("datagram sockets", SOCK_DGRAM);
  table("stream sockets", SOCK_STREAM);

  PART("with a listener");
  for (int flags = 0; flags < 4; flags++) {
    int a = opened(SOCK_STREAM, flags & 1, flags & 2), b = opened(SOCK_STREAM, flags & 1, flags & 2);
    MUST(bind(a, (void *)&(struct sockaddr_in){.sin_family = AF_INET}, 16));
    MUST(listen(a, 5));
    int port = ntohs(local(a).sin_port);
    SAY("flags %d same: %s", flags, try_bind(b, "0.0.0.0", port));
    int c = opened(SOCK_STREAM, flags & 1, flags & 2);
    SAY("flags %d specific: %s", flags, try_bind(c, "127.0.0.1", port));
    MUST(close(a)), MUST(close(b)), MUST(close(c));
  }

  PART("both bound with SO_REUSEADDR, then both listen");
  int a = opened(SOCK_STREAM, 1, 0), b = opened(SOCK_STREAM, 1, 0);
  SAY("%s", try_bind(a, "127.0.0.1", 0));
  SAY("%s", try_bind(b, "127.0.0.1", ntohs(local(a).sin_port)));
  SAY("%s", try_listen(a));
  SAY("%s", try_listen(b));
  MUST(close(a)), MUST(close(b));

  PART("both protocols have ports of their own");
  a = opened(SOCK_STREAM, 0, 0), b = opened(SOCK_DGRAM, 0, 0);
  SAY("%s", try_bind(a, "127.0.0.1", 0));
  SAY("%s", try_bind(b, "127.0.0.1", ntohs(local(a).sin_port)));
  MUST(close(a)), MUST(close(b));

  PART("bad addresses");
  a = opened(SOCK_STREAM, 0, 0);
  struct sockaddr_in x = at("127.0.0.1", 0);
  SHOW(bind(a, (void *)&x, 4));
  SHOW(bind(a, (void *)&x, 0));
  SHOW(bind(a, (void *)&x, (socklen_t)-1));
  SHOW(bind(a, (void *)&x, 1000));
  x.sin_family = 77;
  SHOW(bind(a, ADDR(x)));
  x = at("0.0.0.0", 0), x.sin_family = AF_UNSPEC;
  SHOW(bind(a, ADDR(x)));
  MUST(close(a));
  a = opened(SOCK_STREAM, 0, 0);
  x = at("127.0.0.1", 0), x.sin_family = AF_UNSPEC;
  SHOW(bind(a, ADDR(x)));
  SAY("an address of another host: %s", try_bind(a, "192.0.2.1", 0));
  SAY("again after a failure: %s", try_bind(a, "127.0.0.1", 0));
  SAY("twice: %s", try_bind(a, "127.0.0.1", 0));
  MUST(close(a));
  a = opened(SOCK_STREAM, 0, 0);
  SAY("loopback network: %s", try_bind(a, "127.99.88.77", 0));
  MUST(close(a));
  a = opened(SOCK_DGRAM, 0, 0);
  SAY("multicast: %s", try_bind(a, "224.0.0.5", 0));
  MUST(close(a));
  a = opened(SOCK_STREAM, 0, 0);
  SAY("broadcast: %s", try_bind(a, "255.255.255.255", 0));
  MUST(close(a));

  PART("the port of a connection in TIME-WAIT");
  struct sockaddr_in where;
  int l, c, s;
  for (int reuse = 0; reuse < 2; reuse++) {
    l = opened(SOCK_STREAM, reuse, 0);
    SAY("listener with SO_REUSEADDR %d: %s", reuse, try_bind(l, "127.0.0.1", 0));
    MUST(listen(l, 5));
    where = local(l);
    c = MUST(socket(AF_INET, SOCK_STREAM, 0));
    MUST(connect(c, ADDR(where)));
    s = MUST(accept(l, NULL, NULL));
    MUST(close(s));
    settled(c, POLLRDHUP);
    MUST(close(c)), MUST(close(l));
    quiet();
    a = opened(SOCK_STREAM, 0, 0);
    SAY("without: %s", try_bind(a, "127.0.0.1", ntohs(where.sin_port)));
    MUST(close(a));
    a = opened(SOCK_STREAM, 1, 0);
    SAY("with: %s", try_bind(a, "127.0.0.1", ntohs(where.sin_port)));
    SAY("and %s", try_listen(a));
    MUST(close(a));
  }

  PART("an established connection of a closed listener keeps the port");
  l = listener(5, &where);
  c = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(c, ADDR(where)));
  s = MUST(accept(l, NULL, NULL));
  MUST(close(l));
  a = opened(SOCK_STREAM, 0, 0);
  SAY("without SO_REUSEADDR: %s", try_bind(a, "127.0.0.1", ntohs(where.sin_port)));
  b = opened(SOCK_STREAM, 1, 0);
  SAY("with, the first without: %s", try_bind(b, "127.0.0.1", ntohs(where.sin_port)));
  return 0;
}
