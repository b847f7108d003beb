// shutdown in every direction and order, and what each end may still do.
#include "api.h"

static char buf[64];

static void *reader(void *fd) { return (void *)(long)recv(*(int *)fd, buf, sizeof buf, 0); }

static void both(const char *when, int a, int b) { SAY("%s: a %s, b %s", when, bits(look(a)), bits(look(b))); }

int main(void) {
  int a, b;
  PART("one side ends, the other still talks");
  connection(&a, &b);
  both("open", a, b);
  send_all(a, "request", 7);
  SHOW(shutdown(a, SHUT_WR));
  settled(b, POLLRDHUP);
  both("a ended", a, b);
  SHOW(send(a, "x", 1, MSG_NOSIGNAL));
  SHOW(recv(b, buf, sizeof buf, 0));
  SHOW(recv(b, buf, sizeof buf, 0));
  SHOW(recv(b, buf, sizeof buf, 0));
  SHOW(send(b, "answer", 6, 0));
  SHOW(recv(a, buf, sizeof buf, 0));
  SHOW(shutdown(a, SHUT_WR));
  SHOW(shutdown(b, SHUT_WR));
  settled(a, POLLHUP);
  quiet();
  both("both ended", a, b);
  SHOW(recv(a, buf, sizeof buf, 0));
  SHOW(shutdown(a, SHUT_RDWR));
  SHOW(shutdown(b, SHUT_RDWR));
  MUST(close(a)), MUST(close(b));

  PART("shutting down reading");
  connection(&a, &b);
  SHOW(shutdown(b, SHUT_RD));
  both("b reads no more", a, b);
  SHOW(recv(b, buf, sizeof buf, 0));
  SHOW(send(a, "still taken", 11, 0));
  quiet();
  both("a sent", a, b);
  SHOW(recv(b, buf, sizeof buf, 0));
  SHOW(recv(b, buf, sizeof buf, 0));
  SHOW(send(b, "to a", 4, 0));
  SHOW(recv(a, buf, sizeof buf, 0));
  MUST(close(a)), MUST(close(b));

  PART("reading what had come before");
  connection(&a, &b);
  send_all(a, "before", 6);
  settled(b, POLLIN);
  SHOW(shutdown(b, SHUT_RD));
  SHOW(recv(b, buf, sizeof buf, 0));
  SHOW(recv(b, buf, sizeof buf, 0));
  MUST(close(a)), MUST(close(b));

  PART("both directions at once");
  connection(&a, &b);
  SHOW(shutdown(a, SHUT_RDWR));
  settled(b, POLLRDHUP);
  both("a gone", a, b);
  SHOW(recv(a, buf, sizeof buf, 0));
  SHOW(send(a, "x", 1, MSG_NOSIGNAL));
  SHOW(recv(b, buf, sizeof buf, 0));
  SHOW(send(b, "into the void", 13, MSG_NOSIGNAL));
  quiet();
  both("b sent", a, b);
  MUST(close(a)), MUST(close(b));

  PART("how");
  connection(&a, &b);
  SHOW(shutdown(a, 3));
  SHOW(shutdown(a, -1));
  SHOW(shutdown(a, SHUT_WR));
  settled(b, POLLRDHUP);
  SHOW(shutdown(b, SHUT_RD));
  SHOW(shutdown(b, SHUT_WR));
  MUST(close(a)), MUST(close(b));
  a = MUST(socket(AF_INET, SOCK_STREAM, 0));
  SHOW(shutdown(a, SHUT_RD));
  SHOW(shutdown(a, 9));
  MUST(close(a));

  PART("datagram sockets");
  a = datagram(NULL);
  SHOW(shutdown(a, SHUT_RD));
  struct sockaddr_in where;
  b = datagram(&where);
  MUST(close(a));
  a = datagram(NULL);
  SHOW(connect(a, ADDR(where)));
  SHOW(shutdown(a, SHUT_WR));
  SHOW(send(a, "x", 1, MSG_NOSIGNAL));
  SAY("%s", bits(look(a)));
  SHOW(shutdown(a, SHUT_RD));
  SHOW(recv(a, buf, sizeof buf, 0));
  SAY("%s", bits(look(a)));

  PART("a shutdown wakes who waits");
  connection(&a, &b);
  pthread_t t;
  MUST(pthread_create(&t, NULL, reader, &b));
  quiet();
  SHOW(shutdown(b, SHUT_RD));
  void *ret;
  MUST(pthread_join(t, &ret));
  SAY("recv gave %ld", (long)ret);
  return 0;
}
