// MSG_PEEK, MSG_WAITALL, MSG_TRUNC, MSG_DONTWAIT, MSG_OOB and friends on a stream; zero lengths; urgent data and its
// mark.
#include "api.h"

static char buf[64];

static void got(const char *what, long n) {
  if (n < 0) SAY("%s: %s", what, strerrorname_np(errno));
  else SAY("%s: %ld '%.*s'", what, n, (int)n, buf);
}

// Waits until exactly n bytes are there to be read.
static void arrived(int fd, int n) {
  int have = 0;
  for (long end = milliseconds() + 2000; have < n && milliseconds() < end; usleep(500)) MUST(ioctl(fd, FIONREAD, &have));
  if (have != n) SAY("%d bytes have come, not %d", have, n);
}

static void *later(void *fd) {
  usleep(50000);
  send_all(*(int *)fd, "-late", 5);
  return NULL;
}

static void plain(int a, int b) {
  PART("peek leaves, recv takes");
  send_all(a, "hello world", 11), arrived(b, 11);
  got("peek 5", recv(b, buf, 5, MSG_PEEK));
  got("peek all", recv(b, buf, sizeof buf, MSG_PEEK));
  got("take 5", recv(b, buf, 5, 0));
  got("peek rest", recv(b, buf, sizeof buf, MSG_PEEK));
  got("take rest", recv(b, buf, sizeof buf, 0));
  got("dontwait", recv(b, buf, sizeof buf, MSG_DONTWAIT));
  got("dontwait peek", recv(b, buf, sizeof buf, MSG_DONTWAIT | MSG_PEEK));

  PART("truncation discards");
  send_all(a, "abcdefghij", 10), arrived(b, 10);
  memset(buf, '.', sizeof buf);
  SHOW(recv(b, buf, 4, MSG_TRUNC));
  SAY("untouched %d", buf[0] == '.');
  SHOW(recv(b, NULL, 2, MSG_TRUNC));
  got("rest", recv(b, buf, sizeof buf, 0));

  PART("waiting for all");
  pthread_t t;
  send_all(a, "early", 5), arrived(b, 5);
  MUST(pthread_create(&t, NULL, later, &a));
  got("waitall 10", recv(b, buf, 10, MSG_WAITALL));
  MUST(pthread_join(t, NULL));
  send_all(a, "xyz", 3), arrived(b, 3);
  got("waitall dontwait", recv(b, buf, 10, MSG_WAITALL | MSG_DONTWAIT));
  send_all(a, "early", 5), arrived(b, 5);
  MUST(pthread_create(&t, NULL, later, &a));
  got("waitall peek 10", recv(b, buf, 10, MSG_WAITALL | MSG_PEEK));
  MUST(pthread_join(t, NULL));
  got("take", recv(b, buf, 10, MSG_WAITALL));

  PART("zero lengths");
  SHOW(send(a, "", 0, 0));
  SHOW(write(a, "", 0));
  SHOW(read(b, buf, 0));
  SHOW(recv(b, buf, 0, MSG_DONTWAIT));
  send_all(a, "z", 1), arrived(b, 1);
  SHOW(recv(b, buf, 0, 0));
  got("still there", recv(b, buf, 10, 0));

  PART("unusual flags");
  SHOW(send(a, "m", 1, MSG_MORE));
  SHOW(send(a, "n", 1, 0));
  arrived(b, 2);
  got("both", recv(b, buf, 10, 0));
  SHOW(send(a, "c", 1, MSG_CONFIRM));
  SHOW(send(a, "d", 1, MSG_DONTROUTE));
  SHOW(send(a, "e", 1, MSG_EOR));
  arrived(b, 3);
  got("all", recv(b, buf, 10, MSG_CMSG_CLOEXEC));
  SHOW(recv(b, buf, 10, MSG_ERRQUEUE));
  SHOW(sendto(a, "f", 1, 0, (void *)&(struct sockaddr_in){.sin_family = AF_INET, .sin_port = 1}, 16));
  struct sockaddr_in from = {.sin_port = 77};
  socklen_t len = sizeof from;
  got("recvfrom", recvfrom(b, buf, 10, 0, (void *)&from, &len));
  SAY("no address on a stream: len %u", len);
}

static void urgent(int a, int b) {
  int mark;
  PART("urgent data out of line");
  MUST(send(a, "abc", 3, 0));
  SHOW(send(a, "12U", 3, MSG_OOB));
  MUST(send(a, "def", 3, 0));
  arrived(b, 5);
  SAY("%s", bits(settled(b, POLLPRI)));
  SHOW(ioctl(b, SIOCATMARK, &mark));
  SAY("mark %d", mark);
  got("oob", recv(b, buf, 8, MSG_OOB));
  got("oob again", recv(b, buf, 8, MSG_OOB));
  SAY("%s", bits(look(b)));
  got("up to the mark", recv(b, buf, sizeof buf, 0));
  SHOW(ioctl(b, SIOCATMARK, &mark));
  SAY("mark %d", mark);
  got("after it", recv(b, buf, sizeof buf, 0));
  SHOW(ioctl(b, SIOCATMARK, &mark));
  SAY("mark %d", mark);
  got("oob without any", recv(b, buf, 8, MSG_OOB));

  PART("peeking at the urgent byte");
  MUST(send(a, "V", 1, MSG_OOB));
  settled(b, POLLPRI);
  got("peek oob", recv(b, buf, 8, MSG_OOB | MSG_PEEK));
  got("take oob", recv(b, buf, 8, MSG_OOB));
  got("nothing in line", recv(b, buf, 8, MSG_DONTWAIT));

  PART("a second urgent byte pushes the first back in line");
  MUST(send(a, "ab1", 3, MSG_OOB));
  settled(b, POLLPRI);
  MUST(send(a, "cd2", 3, MSG_OOB));
  arrived(b, 5);
  quiet();
  got("oob", recv(b, buf, 8, MSG_OOB));
  got("first", recv(b, buf, sizeof buf, MSG_DONTWAIT));
  got("second", recv(b, buf, sizeof buf, MSG_DONTWAIT));

  PART("urgent data in line");
  set(b, SOL_SOCKET, SO_OOBINLINE, 1);
  MUST(send(a, "pq!", 3, MSG_OOB));
  MUST(send(a, "rs", 2, 0));
  arrived(b, 5);
  SAY("%s", bits(settled(b, POLLPRI)));
  got("oob", recv(b, buf, 8, MSG_OOB));
  got("before", recv(b, buf, sizeof buf, 0));
  SHOW(ioctl(b, SIOCATMARK, &mark));
  SAY("mark %d, %s", mark, bits(look(b)));
  got("from it", recv(b, buf, sizeof buf, 0));
  SAY("%s", bits(look(b)));
  got("empty oob send", send(a, "", 0, MSG_OOB));
}

int main(void) {
  int a, b;
  connection(&a, &b);
  plain(a, b);
  MUST(close(a)), MUST(close(b));
  connection(&a, &b);
  urgent(a, b);
  MUST(close(a)), MUST(close(b));
  PART("waitall meets the end");
  connection(&a, &b);
  send_all(a, "end", 3);
  MUST(close(a));
  got("waitall 10", recv(b, buf, 10, MSG_WAITALL));
  got("again", recv(b, buf, 10, MSG_WAITALL));
  PART("not connected");
  int u = MUST(socket(AF_INET, SOCK_STREAM, 0));
  got("recv", recv(u, buf, 1, 0));
  got("recv 0", recv(u, buf, 0, 0));
  got("oob", recv(u, buf, 1, MSG_OOB));
  got("send", send(u, "x", 1, MSG_NOSIGNAL));
  got("send 0", send(u, "x", 0, MSG_NOSIGNAL));
  int n;
  SHOW(ioctl(u, FIONREAD, &n));
  SHOW(ioctl(u, SIOCOUTQ, &n));
  SHOW(ioctl(u, SIOCATMARK, &n));
  return 0;
}
