// select: which sets a socket lands in, how many are counted, how the time-out and bad descriptors are treated.
#include "api.h"

static void sets(const char *what, int fd) {
  fd_set r, w, x;
  FD_ZERO(&r); FD_ZERO(&w); FD_ZERO(&x);
  FD_SET(fd, &r), FD_SET(fd, &w), FD_SET(fd, &x);
  struct timeval now = {0, 0};
  int n = select(fd + 1, &r, &w, &x, &now);
  SAY("%s: %d%s%s%s", what, n, FD_ISSET(fd, &r) ? " read" : "", FD_ISSET(fd, &w) ? " write" : "",
      FD_ISSET(fd, &x) ? " except" : "");
}

static void *later(void *fd) {
  usleep(50000);
  send_all(*(int *)fd, "x", 1);
  return NULL;
}

int main(void) {
  struct sockaddr_in where;
  char buf[8];
  int a = MUST(socket(AF_INET, SOCK_STREAM, 0)), b;
  PART("states");
  sets("fresh", a);
  MUST(close(a));
  int l = listener(5, &where);
  sets("listening", l);
  a = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(a, ADDR(where)));
  settled(l, POLLIN);
  sets("to accept", l);
  b = MUST(accept(l, NULL, NULL));
  sets("connected", a);
  send_all(b, "x", 1), settled(a, POLLIN);
  sets("readable", a);
  MUST(recv(a, buf, 1, 0));
  MUST(send(b, "!", 1, MSG_OOB)), settled(a, POLLPRI);
  sets("urgent", a);
  MUST(recv(a, buf, 1, MSG_OOB));
  sets("urgent byte taken", a);
  MUST(shutdown(b, SHUT_WR)), settled(a, POLLRDHUP);
  sets("half closed", a);
  struct linger now = {1, 0};
  MUST(setsockopt(b, SOL_SOCKET, SO_LINGER, &now, sizeof now));
  MUST(close(b)), settled(a, POLLERR);
  sets("reset", a);
  MUST(close(a));
  struct sockaddr_in none = nobody(SOCK_STREAM);
  a = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  connect(a, ADDR(none)), settled(a, POLLERR);
  sets("refused", a);
  MUST(close(a));
  a = datagram(NULL);
  sets("datagram", a);
  MUST(close(a));

  PART("mixed with the system's own descriptors");
  connection(&a, &b);
  int p[2];
  MUST(pipe(p));
  int top = (a > p[1] ? a : p[1]) + 1;
  fd_set r, w;
  struct timeval tv = {0, 0};
  FD_ZERO(&r); FD_ZERO(&w); FD_SET(a, &r), FD_SET(p[0], &r), FD_SET(p[1], &w), FD_SET(a, &w);
  SHOW(select(top, &r, &w, NULL, &tv));
  SAY("%d %d %d %d", !!FD_ISSET(a, &r), !!FD_ISSET(p[0], &r), !!FD_ISSET(p[1], &w), !!FD_ISSET(a, &w));
  MUST((write)(p[1], "x", 1));
  FD_ZERO(&r); FD_SET(a, &r), FD_SET(p[0], &r);
  SHOW(select(top, &r, NULL, NULL, NULL));
  SAY("%d %d", !!FD_ISSET(a, &r), !!FD_ISSET(p[0], &r));
  send_all(b, "x", 1), settled(a, POLLIN);
  FD_ZERO(&r); FD_SET(a, &r), FD_SET(p[0], &r);
  SHOW(select(top, &r, NULL, NULL, NULL));
  SAY("%d %d", !!FD_ISSET(a, &r), !!FD_ISSET(p[0], &r));
  MUST(recv(a, buf, 1, 0)), MUST((read)(p[0], buf, 1));

  PART("time-outs");
  FD_ZERO(&r); FD_SET(a, &r);
  tv = (struct timeval){0, 60000};
  long start = milliseconds(), took;
  SHOW(select(top, &r, NULL, NULL, &tv));
  took = milliseconds() - start;
  SAY("waited %d, set emptied %d, time used up %d", took >= 59 && took < 1000, !FD_ISSET(a, &r), !tv.tv_usec);
  pthread_t t;
  MUST(pthread_create(&t, NULL, later, &b));
  FD_ZERO(&r); FD_SET(a, &r);
  tv = (struct timeval){5, 0};
  SHOW(select(top, &r, NULL, NULL, &tv));
  SAY("time left over %d", tv.tv_sec >= 3 && tv.tv_sec < 5);
  MUST(pthread_join(t, NULL));
  tv = (struct timeval){0, 20000};
  SHOW(select(0, NULL, NULL, NULL, &tv));
  tv = (struct timeval){-1, 0};
  SHOW(select(top, &r, NULL, NULL, &tv));
  SHOW(select(-1, NULL, NULL, NULL, NULL));

  PART("bad descriptors");
  FD_ZERO(&r); FD_SET(a, &r), FD_SET(40, &r);
  tv = (struct timeval){0, 0};
  SHOW(select(41, &r, NULL, NULL, &tv));
  MUST(close(b)), MUST(close(a));
  FD_ZERO(&r); FD_SET(a, &r);
  SHOW(select(top, &r, NULL, NULL, &tv));
  return 0;
}
