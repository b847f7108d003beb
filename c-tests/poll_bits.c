// The bits poll gives in every state of a socket, what it gives for events not asked for, and how it counts.
#include "api.h"

static char buf[1 << 16];

static void asked(const char *what, int fd, short events) {
  struct pollfd p = {.fd = fd, .events = events};
  int n = poll(&p, 1, 0);
  SAY("%s: %d %s", what, n, bits(p.revents));
}

int main(void) {
  struct sockaddr_in where, none = nobody(SOCK_STREAM);
  int a, b, l;
  PART("before a connection");
  a = MUST(socket(AF_INET, SOCK_STREAM, 0));
  SAY("fresh %s", bits(look(a)));
  MUST(bind(a, (void *)&(struct sockaddr_in){.sin_family = AF_INET}, 16));
  SAY("bound %s", bits(look(a)));
  MUST(listen(a, 1));
  SAY("listening %s", bits(look(a)));
  MUST(close(a));

  PART("a listener with something to accept");
  l = listener(0, &where);
  a = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(a, ADDR(where)));
  SAY("listener %s", bits(settled(l, POLLIN)));
  b = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  connect(b, ADDR(where));
  quiet();
  SAY("connecting %s", bits(look(b)));
  asked("connecting, nothing asked", b, 0);
  MUST(close(b));
  b = MUST(accept(l, NULL, NULL));

  PART("connected");
  SAY("idle %s", bits(look(a)));
  send_all(b, "x", 1);
  SAY("readable %s", bits(settled(a, POLLIN)));
  asked("normal bands", a, POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND);
  asked("only out", a, POLLOUT);
  asked("only pri", a, POLLPRI);
  asked("nothing asked", a, 0);
  MUST(recv(a, buf, 1, 0));
  SAY("read %s", bits(look(a)));

  PART("the low-water mark");
  set(a, SOL_SOCKET, SO_RCVLOWAT, 4);
  send_all(b, "xyz", 3);
  quiet();
  SAY("3 of 4 %s", bits(look(a)));
  send_all(b, "w", 1);
  SAY("4 of 4 %s", bits(settled(a, POLLIN)));
  recv_all(a, buf, 4);
  set(a, SOL_SOCKET, SO_RCVLOWAT, 1);

  PART("a full send buffer");
  nonblocking(a);
  while (send(a, buf, sizeof buf, 0) > 0 || (usleep(10000), send(a, buf, sizeof buf, 0) > 0)) {}
  SAY("full %s", bits(look(a)));
  nonblocking(b);
  while (settled(b, POLLIN) & POLLIN && recv(b, buf, sizeof buf, 0) > 0 && !(look(a) & POLLOUT)) {}
  SAY("drained %s", bits(settled(a, POLLOUT)));
  MUST(close(a)), MUST(close(b));

  PART("half closed");
  connection(&a, &b);
  MUST(shutdown(a, SHUT_WR));
  SAY("peer %s", bits(settled(b, POLLRDHUP)));
  SAY("self %s", bits(look(a)));
  asked("peer without asking for RDHUP", b, POLLIN);
  asked("peer, nothing asked", b, 0);
  MUST(shutdown(b, SHUT_WR));
  SAY("both: self %s", bits(settled(a, POLLHUP)));
  SAY("both: peer %s", bits(settled(b, POLLHUP)));
  asked("both, nothing asked", a, 0);
  MUST(close(a)), MUST(close(b));

  PART("shut for reading");
  connection(&a, &b);
  MUST(shutdown(a, SHUT_RD));
  SAY("self %s, peer %s", bits(look(a)), bits(look(b)));
  MUST(close(a)), MUST(close(b));

  PART("reset");
  connection(&a, &b);
  struct linger now = {1, 0};
  MUST(setsockopt(a, SOL_SOCKET, SO_LINGER, &now, sizeof now));
  MUST(close(a));
  SAY("%s", bits(settled(b, POLLERR)));
  asked("nothing asked", b, 0);
  SAY("error taken: %s", pending(b));
  SAY("%s", bits(look(b)));
  MUST(close(b));

  PART("refused");
  a = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  connect(a, ADDR(none));
  SAY("%s", bits(settled(a, POLLERR)));
  SAY("error taken: %s", pending(a));
  SAY("%s", bits(look(a)));
  MUST(close(a));

  PART("datagram sockets");
  a = datagram(&where);
  SAY("idle %s", bits(look(a)));
  b = datagram(NULL);
  MUST(sendto(b, "x", 1, 0, ADDR(where)));
  SAY("readable %s", bits(settled(a, POLLIN)));
  asked("normal bands", a, POLLRDNORM | POLLWRNORM | POLLRDBAND | POLLWRBAND);
  MUST(close(a)), MUST(close(b));

  PART("counting");
  connection(&a, &b);
  int p[2];
  MUST(pipe(p));
  struct pollfd set[] = {{a, POLLIN, 77}, {a, POLLOUT, 77}, {p[0], POLLIN, 77}, {p[1], POLLOUT, 77},
                         {-1, POLLIN, 77}, {999, POLLIN, 77}, {b, 0, 77}};
  SHOW(poll(set, 7, 0));
  for (int i = 0; i < 7; i++) SAY("%d %s", i, bits(set[i].revents));
  MUST((write)(p[1], "x", 1));
  send_all(b, "x", 1);
  settled(a, POLLIN);
  SHOW(poll(set, 7, -1));
  for (int i = 0; i < 7; i++) SAY("%d %s", i, bits(set[i].revents));
  SHOW(poll(NULL, 0, 10));
  nfds_t too_many = 1 << 30;
  SHOW(poll(set, too_many, 0));
  MUST(recv(a, buf, 1, 0));
  long start = milliseconds();
  SHOW(poll(set, 1, 60));
  SAY("waited %d", milliseconds() - start >= 59 && milliseconds() - start < 1000);

  PART("ppoll");
  struct timespec ts = {0, 30000000};
  start = milliseconds();
  SHOW(ppoll(set, 1, &ts, NULL));
  SAY("waited %d", milliseconds() - start >= 29 && milliseconds() - start < 1000);
  ts.tv_nsec = 2000000000;
  SHOW(ppoll(set, 1, &ts, NULL));
  ts.tv_nsec = 0, ts.tv_sec = -1;
  SHOW(ppoll(set, 1, &ts, NULL));
  return 0;
}
