// Datagram sockets: connected and not, refused by ICMP, broadcast permission, sizes from none to the largest, queues.
#include "api.h"

static char buf[1 << 17];

static void sizes(void) {
  struct sockaddr_in where, from;
  socklen_t len = sizeof from;
  PART("sizes");
  int d = datagram(&where), e = datagram(NULL);
  static const int table[] = {0, 1, 1472, 1473, 9000, 65507};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    int n = table[i];
    for (int j = 0; j < n; j++) buf[j] = (char)(j * 7 + n);
    SAY("send %d: %ld", n, (long)sendto(e, buf, n, 0, ADDR(where)));
    memset(buf, 0, sizeof buf);
    settled(d, POLLIN);
    len = sizeof from;
    long got = recvfrom(d, buf, sizeof buf, 0, (void *)&from, &len);
    int right = 1;
    for (int j = 0; j < n; j++) right &= buf[j] == (char)(j * 7 + n);
    SAY("recv %ld, right %d, from right %d", got, right, from.sin_port == local(e).sin_port);
  }
  SHOW(sendto(e, buf, 65508, 0, ADDR(where)));
  SHOW(sendto(e, buf, 100000, 0, ADDR(where)));
  SHOW(recv(d, buf, 1, MSG_DONTWAIT));
  PART("an empty datagram is not an end");
  MUST(sendto(e, "", 0, 0, ADDR(where)));
  MUST(sendto(e, "next", 4, 0, ADDR(where)));
  SAY("%s", bits(settled(d, POLLIN)));
  SHOW(recv(d, buf, 10, 0));
  SHOW(recv(d, buf, 10, 0));
  PART("what does not fit is cut");
  MUST(sendto(e, "0123456789", 10, 0, ADDR(where))), settled(d, POLLIN);
  SHOW(recv(d, buf, 4, MSG_PEEK));
  SHOW(recv(d, buf, 4, MSG_PEEK | MSG_TRUNC));
  SHOW(recv(d, buf, 4, 0));
  SHOW(recv(d, buf, 4, MSG_DONTWAIT));
  MUST(sendto(e, "0123456789", 10, 0, ADDR(where))), settled(d, POLLIN);
  SHOW(read(d, buf, 4));
  MUST(sendto(e, "0123456789", 10, 0, ADDR(where))), settled(d, POLLIN);
  SHOW(recv(d, buf, 20, MSG_WAITALL));
  PART("corked datagrams join");
  SHOW(sendto(e, "one ", 4, MSG_MORE, ADDR(where)));
  SHOW(sendto(e, "two ", 4, MSG_MORE, ADDR(where)));
  SHOW(recv(d, buf, 20, MSG_DONTWAIT));
  SHOW(sendto(e, "three", 5, 0, ADDR(where)));
  settled(d, POLLIN);
  SHOW(recv(d, buf, 20, 0));
  MUST(close(d)), MUST(close(e));
}

static void connected(void) {
  struct sockaddr_in where, other, name;
  socklen_t len = sizeof name;
  PART("unconnected");
  int d = datagram(&where), o = datagram(&other);
  int e = MUST(socket(AF_INET, SOCK_DGRAM, 0));
  SHOW(send(e, "x", 1, 0));
  SHOW(write(e, "x", 1));
  SHOW(getpeername(e, (void *)&name, &len));
  SHOW(sendto(e, "x", 1, 0, ADDR(where)));
  SAY("after sending: %s %d", ip_of(local(e)), local(e).sin_port != 0);
  settled(d, POLLIN), recv_all(d, buf, 1);
  PART("connected");
  SHOW(connect(e, ADDR(where)));
  SAY("local now %s, peer %s", ip_of(local(e)), ip_of(remote(e)));
  SHOW(send(e, "via send", 8, 0));
  SHOW(sendto(e, "elsewhere", 9, 0, ADDR(other)));
  settled(o, POLLIN);
  SHOW(recv(o, buf, 20, 0));
  SHOW(recv(d, buf, 20, 0));
  struct sockaddr_in e_addr = local(e);
  PART("only the peer is heard");
  MUST(sendto(o, "stranger", 8, 0, ADDR(e_addr)));
  MUST(sendto(d, "peer", 4, 0, ADDR(e_addr)));
  settled(e, POLLIN);
  SHOW(recv(e, buf, 20, 0));
  SHOW(recv(e, buf, 20, MSG_DONTWAIT));
  PART("connect elsewhere, then to nobody");
  SHOW(connect(e, ADDR(other)));
  SAY("peer port right %d", remote(e).sin_port == other.sin_port);
  struct sockaddr_in unspec = {.sin_family = AF_UNSPEC};
  SHOW(connect(e, ADDR(unspec)));
  SHOW(send(e, "x", 1, 0));
  SHOW(getpeername(e, (void *)&name, &len));
  SAY("local now %s", ip_of(local(e)));
  MUST(close(d)), MUST(close(o)), MUST(close(e));
  PART("addresses");
  e = MUST(socket(AF_INET, SOCK_DGRAM, 0));
  name = at("127.0.0.1", 0);
  SHOW(sendto(e, "x", 1, 0, ADDR(name)));
  SHOW(sendto(e, "x", 1, 0, (void *)&where, 4));
  name = where, name.sin_family = 77;
  SHOW(sendto(e, "x", 1, 0, ADDR(name)));
  name = at("192.0.2.1", 9);
  SHOW(sendto(e, "x", 1, 0, ADDR(name)));
  SHOW(connect(e, ADDR(name)));
  name = at("255.255.255.255", 9);
  SHOW(connect(e, ADDR(name)));
  SHOW(sendto(e, "x", 1, MSG_OOB, ADDR(where)));
  SHOW(recv(e, buf, 1, MSG_OOB | MSG_DONTWAIT));
  MUST(close(e));
}

static void refused(void) {
  struct sockaddr_in none = nobody(SOCK_DGRAM), where;
  PART("port unreachable, connected");
  int e = MUST(socket(AF_INET, SOCK_DGRAM, 0));
  MUST(connect(e, ADDR(none)));
  SHOW(send(e, "x", 1, 0));
  SAY("%s", bits(settled(e, POLLERR)));
  SHOW(send(e, "x", 1, 0));
  SAY("%s", bits(look(e)));
  SHOW(send(e, "x", 1, 0));
  settled(e, POLLERR);
  SHOW(recv(e, buf, 1, 0));
  SHOW(recv(e, buf, 1, MSG_DONTWAIT));
  SHOW(send(e, "x", 1, 0));
  settled(e, POLLERR);
  SAY("pending %s", pending(e));
  SAY("then %s", pending(e));
  MUST(close(e));
  PART("port unreachable, unconnected");
  e = datagram(&where);
  SHOW(sendto(e, "x", 1, 0, ADDR(none)));
  quiet();
  SAY("%s", bits(look(e)));
  SHOW(recv(e, buf, 1, MSG_DONTWAIT));
  SHOW(sendto(e, "x", 1, 0, ADDR(none)));
  MUST(close(e));
  PART("broadcast needs permission");
  e = MUST(socket(AF_INET, SOCK_DGRAM, 0));
  struct sockaddr_in all = at("127.255.255.255", 9);
  SHOW(sendto(e, "x", 1, 0, ADDR(all)));
  SHOW(connect(e, ADDR(all)));
  set(e, SOL_SOCKET, SO_BROADCAST, 1);
  SHOW(sendto(e, "x", 1, 0, ADDR(all)));
  MUST(close(e));
}

static void queues(void) {
  struct sockaddr_in where;
  PART("a full queue drops, and keeps the order");
  int d = datagram(&where), e = datagram(NULL);
  set(d, SOL_SOCKET, SO_RCVBUF, 20000);
  for (int i = 0; i < 200; i++) {
    memcpy(buf, &i, sizeof i);
    MUST(sendto(e, buf, 1000, 0, ADDR(where)));
  }
  quiet();
  int n = 0, last = -1, ordered = 1, which;
  while (recv(d, &which, sizeof which, MSG_DONTWAIT) > 0) ordered &= which > last, last = which, n++;
  SAY("some %d, not all %d, ordered %d, from the first %d", n > 3, n < 200, ordered, last == n - 1);
  SHOW(sendto(e, "after", 5, 0, ADDR(where)));
  settled(d, POLLIN);
  SHOW(recv(d, buf, 20, 0));
  MUST(close(d)), MUST(close(e));

  PART("two with SO_REUSEADDR: the last bound hears");
  int a = MUST(socket(AF_INET, SOCK_DGRAM, 0)), b = MUST(socket(AF_INET, SOCK_DGRAM, 0));
  set(a, SOL_SOCKET, SO_REUSEADDR, 1), set(b, SOL_SOCKET, SO_REUSEADDR, 1);
  where = at("127.0.0.1", 0);
  MUST(bind(a, ADDR(where)));
  where = local(a);
  MUST(bind(b, ADDR(where)));
  e = datagram(NULL);
  MUST(sendto(e, "x", 1, 0, ADDR(where))), quiet();
  SAY("%d %d", !!(look(a) & POLLIN), !!(look(b) & POLLIN));
  MUST(close(a)), MUST(close(b));

  PART("the connected, then the specific, then the wildcard");
  a = MUST(socket(AF_INET, SOCK_DGRAM, 0)), b = MUST(socket(AF_INET, SOCK_DGRAM, 0));
  int c = MUST(socket(AF_INET, SOCK_DGRAM, 0));
  set(a, SOL_SOCKET, SO_REUSEADDR, 1), set(b, SOL_SOCKET, SO_REUSEADDR, 1), set(c, SOL_SOCKET, SO_REUSEADDR, 1);
  where = at("0.0.0.0", 0);
  MUST(bind(a, ADDR(where)));
  where = at("127.0.0.1", ntohs(local(a).sin_port));
  MUST(bind(b, ADDR(where))), MUST(bind(c, ADDR(where)));
  struct sockaddr_in me = local(e);
  MUST(connect(b, ADDR(me)));
  int f = datagram(NULL);
  struct sockaddr_in two = at("127.0.0.2", ntohs(where.sin_port));
  MUST(sendto(e, "to connected", 12, 0, ADDR(where)));
  MUST(sendto(f, "specific", 8, 0, ADDR(where)));
  MUST(sendto(e, "wild", 4, 0, ADDR(two)));
  settled(b, POLLIN), settled(c, POLLIN), settled(a, POLLIN);
  SHOW(recv(b, buf, 20, MSG_DONTWAIT));
  SHOW(recv(c, buf, 20, MSG_DONTWAIT));
  SHOW(recv(a, buf, 20, MSG_DONTWAIT));
}

int main(void) {
  sizes();
  connected();
  refused();
  queues();
  return 0;
}
