// Every way a connect can end: refused, in progress, already, connected, broken off, and to strange addresses.
#include "api.h"

int main(void) {
  struct sockaddr_in where, none = nobody(SOCK_STREAM);
  int fd, s;

  PART("refused");
  fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  SHOW(connect(fd, ADDR(none)));
  SAY("pending %s, %s", pending(fd), bits(look(fd)));
  SHOW(connect(fd, ADDR(none)));
  SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
  char c;
  SHOW(recv(fd, &c, 1, 0));
  SHOW(shutdown(fd, SHUT_RDWR));

  PART("the same socket may try elsewhere");
  int l = listener(5, &where);
  SHOW(connect(fd, ADDR(where)));
  s = MUST(accept(l, NULL, NULL));
  SHOW(connect(fd, ADDR(where)));
  SHOW(connect(fd, ADDR(none)));
  MUST(close(fd)), MUST(close(s));

  PART("refused, nonblocking");
  fd = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  SHOW(connect(fd, ADDR(none)));
  SAY("%s", bits(settled(fd, POLLERR)));
  SAY("pending %s", pending(fd));
  SAY("then %s", pending(fd));
  SAY("%s", bits(look(fd)));
  MUST(close(fd));
  fd = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  SHOW(connect(fd, ADDR(none)));
  settled(fd, POLLERR);
  SHOW(connect(fd, ADDR(none)));
  SHOW(connect(fd, ADDR(none)));
  MUST(close(fd));
  fd = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  SHOW(connect(fd, ADDR(none)));
  settled(fd, POLLERR);
  SHOW(recv(fd, &c, 1, 0));
  SHOW(recv(fd, &c, 1, 0));
  SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
  MUST(close(fd));

  PART("success, nonblocking");
  fd = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  SHOW(connect(fd, ADDR(where)));
  SAY("%s", bits(settled(fd, POLLOUT)));
  SAY("pending %s", pending(fd));
  SHOW(connect(fd, ADDR(where)));
  SHOW(connect(fd, ADDR(where)));
  MUST(close(fd));
  s = MUST(accept(l, NULL, NULL));
  MUST(close(s));

  PART("success, seen without connect");
  fd = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  SHOW(connect(fd, ADDR(where)));
  settled(fd, POLLOUT);
  SHOW(send(fd, "x", 1, 0));
  SHOW(connect(fd, ADDR(where)));
  MUST(close(fd));
  s = MUST(accept(l, NULL, NULL));
  MUST(close(s));

  PART("in progress: a full backlog keeps the handshake waiting");
  struct sockaddr_in full;
  int f = listener(0, &full);
  int hold = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(hold, ADDR(full)));
  fd = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  SHOW(connect(fd, ADDR(full)));
  quiet();
  SAY("%s", bits(look(fd)));
  SHOW(connect(fd, ADDR(full)));
  SHOW(connect(fd, ADDR(none)));
  SHOW(send(fd, "x", 1, MSG_NOSIGNAL));
  SHOW(recv(fd, &c, 1, 0));
  struct sockaddr_in name;
  socklen_t len = sizeof name;
  SHOW(getpeername(fd, (void *)&name, &len));
  SAY("local %s port chosen %d", ip_of(local(fd)), local(fd).sin_port != 0);
  SHOW(shutdown(fd, SHUT_WR));
  SAY("%s", bits(look(fd)));
  MUST(close(fd));
  PART("the send time-out bounds a blocking connect");
  fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  struct timeval tv = {0, 200000};
  MUST(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv));
  SHOW(connect(fd, ADDR(full)));
  SHOW(connect(fd, ADDR(full)));
  MUST(close(fd)), MUST(close(hold)), MUST(close(f));

  PART("AF_UNSPEC lets go");
  struct sockaddr_in unspec = {.sin_family = AF_UNSPEC};
  fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  SHOW(connect(fd, ADDR(unspec)));
  MUST(connect(fd, ADDR(where)));
  s = MUST(accept(l, NULL, NULL));
  SHOW(connect(fd, ADDR(unspec)));
  SHOW(getpeername(fd, (void *)&name, &len));
  SAY("peer %s", bits(settled(s, POLLHUP)));
  SHOW(recv(s, &c, 1, 0));
  MUST(close(s));
  SHOW(connect(fd, ADDR(where)));
  s = MUST(accept(l, NULL, NULL));
  SHOW(send(fd, "again", 5, 0));

  PART("an accepted socket that lets go leaves its port to the listener");
  SHOW(connect(s, ADDR(unspec)));
  MUST(close(fd));
  SHOW(connect(s, ADDR(where)));
  fd = MUST(accept(l, NULL, NULL));
  SAY("the same address %d, the listener's port %d", local(s).sin_addr.s_addr == where.sin_addr.s_addr,
      local(s).sin_port == where.sin_port);
  MUST(close(fd)), MUST(close(s));

  PART("strange addresses");
  fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  SHOW(connect(fd, (void *)&where, 8));
  SHOW(connect(fd, (void *)&where, 1));
  SHOW(connect(fd, (void *)&where, (socklen_t)-1));
  SHOW(connect(fd, (void *)&where, 1000));
  name = where, name.sin_family = AF_INET6;
  SHOW(connect(fd, ADDR(name)));
  name.sin_family = 77;
  SHOW(connect(fd, ADDR(name)));
  name = at("192.0.2.1", 80);
  SHOW(connect(fd, ADDR(name)));
  name = at("255.255.255.255", 80);
  SHOW(connect(fd, ADDR(name)));
  name = at("224.0.0.1", 80);
  SHOW(connect(fd, ADDR(name)));
  name = at("0.0.0.0", ntohs(where.sin_port));
  SHOW(connect(fd, ADDR(name)));
  SAY("0.0.0.0 is this host: %s", ip_of(remote(fd)));
  MUST(close(fd));
  s = MUST(accept(l, NULL, NULL));
  MUST(close(s));
  fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  name = at("127.0.0.1", 0);
  SHOW(connect(fd, ADDR(name)));
  MUST(close(fd));

  PART("from a bound address");
  fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  name = at("127.0.0.3", 0);
  SHOW(bind(fd, ADDR(name)));
  SHOW(connect(fd, ADDR(where)));
  s = MUST(accept(l, NULL, NULL));
  SAY("seen from %s", ip_of(remote(s)));
  MUST(close(fd)), MUST(close(s));

  PART("to itself: a simultaneous open");
  fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  name = at("127.0.0.1", 0);
  MUST(bind(fd, ADDR(name)));
  name = local(fd);
  SHOW(connect(fd, ADDR(name)));
  SHOW(send(fd, "mirror", 6, 0));
  char buf[16] = "";
  SHOW(recv(fd, buf, sizeof buf, 0));
  SAY("%s", buf);
  SHOW(shutdown(fd, SHUT_WR));
  SHOW(recv(fd, buf, sizeof buf, 0));
  MUST(close(fd));
  return 0;
}
