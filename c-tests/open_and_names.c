// Opening sockets of every kind, and the names they have before and after bind and connect.
#include "api.h"

static void opens(const char *what, int family, int type, int protocol) {
  int fd = socket(family, type, protocol);
  if (fd < 0) SAY("%s: %s", what, strerrorname_np(errno));
  else {
    SAY("%s: type %d domain %d protocol %d listening %d nonblock %d cloexec %d", what, option(fd, SOL_SOCKET, SO_TYPE),
        option(fd, SOL_SOCKET, SO_DOMAIN), option(fd, SOL_SOCKET, SO_PROTOCOL), option(fd, SOL_SOCKET, SO_ACCEPTCONN),
        !!(fcntl(fd, F_GETFL) & O_NONBLOCK), fcntl(fd, F_GETFD) & FD_CLOEXEC);
    MUST(close(fd));
  }
}

int main(void) {
  PART("kinds of sockets");
  opens("stream", AF_INET, SOCK_STREAM, 0);
  opens("stream tcp", AF_INET, SOCK_STREAM, IPPROTO_TCP);
  opens("dgram", AF_INET, SOCK_DGRAM, 0);
  opens("dgram udp", AF_INET, SOCK_DGRAM, IPPROTO_UDP);
  opens("stream nonblock", AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  opens("stream cloexec", AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  opens("dgram both", AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  opens("stream udp", AF_INET, SOCK_STREAM, IPPROTO_UDP);
  opens("dgram tcp", AF_INET, SOCK_DGRAM, IPPROTO_TCP);
  opens("seqpacket", AF_INET, SOCK_SEQPACKET, 0);
  opens("type 77", AF_INET, 77, 0);
  opens("unknown flag", AF_INET, SOCK_STREAM | 0x100000, 0);
  opens("family 999", 999, SOCK_STREAM, 0);
  opens("protocol -1", AF_INET, SOCK_STREAM, -1);
  opens("protocol 400", AF_INET, SOCK_STREAM, 400);

  PART("descriptors are the lowest free");
  int warm = MUST(socket(AF_INET, SOCK_STREAM, 0));
  int a = MUST(socket(AF_INET, SOCK_STREAM, 0)), b = MUST(socket(AF_INET, SOCK_DGRAM, 0));
  SAY("rising %d", a > warm && b > a);
  MUST(close(a));
  SAY("reused %d", MUST(socket(AF_INET, SOCK_DGRAM, 0)) == a);
  MUST(close(a)), MUST(close(b));

  PART("names");
  struct sockaddr_in name;
  socklen_t len = sizeof name;
  SHOW(getpeername(warm, (void *)&name, &len));
  SHOW(getsockname(warm, (void *)&name, &len));
  SAY("family %d ip %s port %d len %u", name.sin_family, ip_of(name), ntohs(name.sin_port), len);
  struct sockaddr_in any = at("0.0.0.0", 0);
  SHOW(bind(warm, ADDR(any)));
  name = local(warm);
  SAY("ip %s port chosen %d", ip_of(name), name.sin_port != 0);
  len = 4;
  memset(&name, 0x55, sizeof name);
  SHOW(getsockname(warm, (void *)&name, &len));
  SAY("len %u, beyond untouched %d", len, name.sin_addr.s_addr == 0x55555555);
  len = 0;
  SHOW(getsockname(warm, (void *)&name, &len));
  SAY("len %u", len);
  len = (socklen_t)-1;
  SHOW(getsockname(warm, (void *)&name, &len));
  len = 100;
  SHOW(getsockname(warm, (void *)&name, &len));
  SAY("len %u", len);

  PART("names of a connection");
  int c, s;
  connection(&c, &s);
  SAY("client %s to %s, server %s to %s", ip_of(local(c)), ip_of(remote(c)), ip_of(local(s)), ip_of(remote(s)));
  SAY("ports cross %d %d", local(c).sin_port == remote(s).sin_port, local(s).sin_port == remote(c).sin_port);
  MUST(close(s));
  settled(c, POLLRDHUP);
  len = sizeof name;
  SHOW(getpeername(c, (void *)&name, &len));
  MUST(shutdown(c, SHUT_WR));
  quiet();
  SHOW(getsockname(c, (void *)&name, &len));
  SHOW(getpeername(c, (void *)&name, &len));
  MUST(close(c));

  PART("things that are not sockets");
  int p[2];
  MUST(pipe(p));
  SHOW(getsockname(p[0], (void *)&name, &len));
  SHOW(bind(p[0], ADDR(any)));
  SHOW(listen(p[0], 1));
  SHOW(accept(p[0], NULL, NULL));
  SHOW(connect(p[0], ADDR(any)));
  SHOW(shutdown(p[0], SHUT_RD));
  SHOW(send(p[1], "x", 1, 0));
  SHOW(recv(p[0], &name, 1, 0));
  SHOW(setsockopt(p[0], SOL_SOCKET, SO_REUSEADDR, &len, sizeof len));
  SHOW(getsockopt(p[0], SOL_SOCKET, SO_REUSEADDR, &name, &len));

  PART("closed descriptors");
  MUST(close(warm));
  SHOW(close(warm));
  SHOW(getsockname(warm, (void *)&name, &len));
  SHOW(getpeername(warm, (void *)&name, &len));
  SHOW(bind(warm, ADDR(any)));
  SHOW(listen(warm, 1));
  SHOW(accept(warm, NULL, NULL));
  SHOW(connect(warm, ADDR(any)));
  SHOW(shutdown(warm, SHUT_RD));
  SHOW(send(warm, "x", 1, 0));
  SHOW(recv(warm, &name, 1, 0));
  SHOW(read(warm, &name, 1));
  SHOW(write(warm, "x", 1));
  SHOW(fcntl(warm, F_GETFL));
  SHOW(ioctl(warm, FIONREAD, &len));
  SHOW(dup(warm));
  SHOW(close(-1));
  SHOW(send(-1, "x", 1, 0));
  SHOW(close(1 << 30));
  return 0;
}
