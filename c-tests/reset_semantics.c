// What makes a reset, and how each end sees one: linger zero, unread data, data after close, SO_ERROR, EPIPE.
#include "api.h"

static char buf[64];

static void lingering(int fd, int on, int seconds) {
  struct linger l = {on, seconds};
  MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
}

int main(void) {
  int a, b;
  PART("linger zero resets");
  connection(&a, &b);
  lingering(a, 1, 0);
  MUST(close(a));
  SAY("%s", bits(settled(b, POLLERR)));
  SAY("pending %s", pending(b));
  SAY("then %s, %s", pending(b), bits(look(b)));
  SHOW(recv(b, buf, sizeof buf, 0));
  SHOW(send(b, "x", 1, MSG_NOSIGNAL));
  MUST(close(b));

  PART("the error is given once, by recv");
  connection(&a, &b);
  lingering(a, 1, 0);
  MUST(close(a));
  settled(b, POLLERR);
  SHOW(recv(b, buf, sizeof buf, 0));
  SHOW(recv(b, buf, sizeof buf, 0));
  SHOW(send(b, "x", 1, MSG_NOSIGNAL));
  SAY("pending %s, %s", pending(b), bits(look(b)));
  MUST(close(b));

  PART("or by send");
  connection(&a, &b);
  lingering(a, 1, 0);
  MUST(close(a));
  settled(b, POLLERR);
  SHOW(send(b, "x", 1, MSG_NOSIGNAL));
  SHOW(send(b, "x", 1, MSG_NOSIGNAL));
  SHOW(recv(b, buf, sizeof buf, 0));
  MUST(close(b));

  PART("unread data at close resets");
  connection(&a, &b);
  send_all(b, "unread", 6);
  settled(a, POLLIN);
  MUST(close(a));
  SAY("%s", bits(settled(b, POLLERR)));
  SHOW(recv(b, buf, sizeof buf, 0));
  MUST(close(b));

  PART("read data at close does not");
  connection(&a, &b);
  send_all(b, "read", 4);
  recv_all(a, buf, 4);
  MUST(close(a));
  SAY("%s", bits(settled(b, POLLRDHUP)));
  SHOW(recv(b, buf, sizeof buf, 0));

  PART("data to a closed peer is answered by a reset");
  SHOW(send(b, "x", 1, MSG_NOSIGNAL));
  SAY("%s", bits(settled(b, POLLERR)));
  SHOW(send(b, "x", 1, MSG_NOSIGNAL));
  SHOW(send(b, "x", 1, MSG_NOSIGNAL));
  SHOW(recv(b, buf, sizeof buf, 0));
  MUST(close(b));

  PART("data received before a reset can still be read");
  connection(&a, &b);
  send_all(a, "lost", 4);
  settled(b, POLLIN);
  lingering(a, 1, 0);
  MUST(close(a));
  settled(b, POLLERR);
  SHOW(recv(b, buf, sizeof buf, 0));
  SHOW(recv(b, buf, sizeof buf, 0));
  MUST(close(b));

  PART("a reset after the end of data");
  connection(&a, &b);
  MUST(shutdown(a, SHUT_WR));
  settled(b, POLLRDHUP);
  lingering(a, 1, 0);
  MUST(close(a));
  SAY("%s", bits(settled(b, POLLERR)));
  SAY("pending %s", pending(b));
  MUST(close(b));

  PART("names after a reset");
  connection(&a, &b);
  lingering(a, 1, 0);
  MUST(close(a));
  settled(b, POLLERR);
  struct sockaddr_in name;
  socklen_t len = sizeof name;
  SHOW(getpeername(b, (void *)&name, &len));
  SHOW(getsockname(b, (void *)&name, &len));
  SHOW(shutdown(b, SHUT_WR));
  MUST(close(b));

  PART("linger with a time waits for the data to be taken");
  connection(&a, &b);
  lingering(a, 1, 2);
  send_all(a, "kept", 4);
  long start = milliseconds();
  SHOW(close(a));
  SAY("quick %d", milliseconds() - start < 1000);
  recv_all(b, buf, 4);
  SHOW(recv(b, buf, sizeof buf, 0));
  MUST(close(b));

  PART("linger gives up when the peer does not read");
  connection(&a, &b);
  set(b, SOL_SOCKET, SO_RCVBUF, 4096);
  set(a, SOL_SOCKET, SO_SNDBUF, 65536);
  nonblocking(a);
  static char block[65536];
  while (send(a, block, sizeof block, 0) > 0) {}
  lingering(a, 1, 1);
  MUST(fcntl(a, F_SETFL, 0));
  start = milliseconds();
  SHOW(close(a));
  long took = milliseconds() - start;
  SAY("about a second: %d", took > 800 && took < 2500);
  MUST(close(b));

  PART("nonblocking close does linger too");
  connection(&a, &b);
  lingering(a, 1, 1);
  nonblocking(a);
  send_all(a, "kept", 4);
  SHOW(close(a));
  recv_all(b, buf, 4);
  SHOW(recv(b, buf, sizeof buf, 0));
  MUST(close(b));

  PART("a reset wakes who waits");
  connection(&a, &b);
  lingering(a, 1, 0);
  struct pollfd p = {.fd = b, .events = 0};
  MUST(close(a));
  SHOW(poll(&p, 1, 2000));
  SAY("without asking: %s", bits(p.revents));
  return 0;
}
