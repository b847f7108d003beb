// TCP Fast Open as programs see it where only clients have it switched on (the default): data given to sendto with
// MSG_FASTOPEN arrives, in the SYN or after it.
#include "api.h"

#ifndef TCP_FASTOPEN_NO_COOKIE
#define TCP_FASTOPEN_NO_COOKIE 34
#endif

static const char *sent(ssize_t n) {
  static char text[32];
  if (n < 0) return strerrorname_np(errno);
  snprintf(text, sizeof text, "%zd", n);
  return text;
}

static void taken(int listener, size_t want) {
  char got[256];
  size_t have = 0;
  int fd = MUST(accept(listener, NULL, NULL));
  while (have < want) {
    ssize_t n = read(fd, got + have, sizeof got - have);
    if (n <= 0) break;
    have += (size_t)n;
  }
  SAY("arrived: %.*s", (int)have, got);
  MUST(close(fd));
}

int main(void) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof to;
  int listener = MUST(socket(AF_INET, SOCK_STREAM, 0)), on = 1, queue = 5;
  MUST(bind(listener, (struct sockaddr *)&to, sizeof to));
  MUST(setsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof queue));
  MUST(listen(listener, 5));
  MUST(getsockname(listener, (struct sockaddr *)&to, &len));

  PART("sendto that connects");
  int fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  SAY("%s", sent(sendto(fd, "hello", 5, MSG_FASTOPEN, (struct sockaddr *)&to, sizeof to)));
  taken(listener, 5);
  SAY("again: %s", sent(sendto(fd, "hello", 5, MSG_FASTOPEN | MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof to)));
  MUST(close(fd));

  PART("without a cookie");
  fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof on));
  SAY("%s", sent(sendto(fd, "bare", 4, MSG_FASTOPEN, (struct sockaddr *)&to, sizeof to)));
  taken(listener, 4);
  MUST(close(fd));

  PART("connect that waits for data");
  fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof on));
  MUST(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on));
  MUST(connect(fd, (struct sockaddr *)&to, sizeof to));
  SAY("%s", sent(write(fd, "waited", 6)));
  taken(listener, 6);
  MUST(close(fd));

  PART("not blocking and without a cookie");
  fd = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  SAY("%s", sent(sendto(fd, "lost", 4, MSG_FASTOPEN, (struct sockaddr *)&to, sizeof to)));
  MUST(close(fd));
  MUST(close(accept(listener, NULL, NULL)));

  PART("nobody listens");
  MUST(close(listener));
  fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  SAY("%s", sent(sendto(fd, "hello", 5, MSG_FASTOPEN, (struct sockaddr *)&to, sizeof to)));
  MUST(close(fd));

  PART("addresses");
  fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  SAY("none: %s", sent(sendto(fd, "hello", 5, MSG_FASTOPEN, NULL, 0)));
  struct sockaddr unspec = {.sa_family = AF_UNSPEC};
  SAY("unspecified: %s", sent(sendto(fd, "hello", 5, MSG_FASTOPEN, &unspec, sizeof unspec)));
  MUST(close(fd));

  PART("options");
  static const int names[] = {TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE};
  static const int values[] = {1, 0, 2, 77, 100000, -1};
  for (int i = 0; i < 3; i++) {
    fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
    for (int j = 0; j < 6; j++) {
      int v = values[j], now = -7;
      socklen_t n = sizeof now;
      const char *set = setsockopt(fd, IPPROTO_TCP, names[i], &v, sizeof v) ? strerrorname_np(errno) : "ok";
      MUST(getsockopt(fd, IPPROTO_TCP, names[i], &now, &n));
      SAY("%d to %d: %s, now %d", i, v, set, now);
    }
    MUST(close(fd));
  }
  fd = MUST(socket(AF_INET, SOCK_STREAM, 0));
  char key[32];
  for (socklen_t n = 0; n <= 32; n += 8) {
    memset(key, 'k', sizeof key);
    SAY("key of %u: %s", n, setsockopt(fd, IPPROTO_TCP, 33, key, n) ? strerrorname_np(errno) : "ok");
  }
  socklen_t n = sizeof key;
  MUST(getsockopt(fd, IPPROTO_TCP, 33, key, &n));
  SAY("key: %.*s", (int)n, key);
  MUST(close(fd));
  return 0;
}
