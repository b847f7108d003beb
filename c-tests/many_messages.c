// sendmmsg and recvmmsg: how many go, what is reported of each, and what the time means.
#include "api.h"

#define N 4
static char out[N][8], in[N][8];
static struct iovec iov[N];
static struct mmsghdr msgs[N];

static struct mmsghdr *fill(char (*bytes)[8], size_t len) {
  memset(msgs, 0, sizeof msgs);
  for (int i = 0; i < N; i++) {
    iov[i] = (struct iovec){bytes[i], len};
    msgs[i].msg_hdr.msg_iov = &iov[i], msgs[i].msg_hdr.msg_iovlen = 1, msgs[i].msg_len = 77;
  }
  return msgs;
}

static void lengths(const char *what) { SAY("%s: %u %u %u %u", what, msgs[0].msg_len, msgs[1].msg_len, msgs[2].msg_len, msgs[3].msg_len); }

int main(void) {
  struct sockaddr_in where;
  int a = datagram(&where), b = datagram(NULL), c, d;
  for (int i = 0; i < N; i++) memset(out[i], 'a' + i, 8);

  PART("datagrams");
  SHOW(sendmmsg(b, fill(out, 3), N, 0));
  lengths("nowhere");
  MUST(connect(b, ADDR(where)));
  fill(out, 3), iov[1].iov_len = 5;
  SHOW(sendmmsg(b, msgs, N, 0));
  lengths("sent");
  SHOW(sendmmsg(b, msgs, 0, 0));
  settled(a, POLLIN);
  SHOW(recvmmsg(a, fill(in, 4), 2, 0, NULL));
  lengths("two");
  SAY("%.3s %.4s flags %d %d", in[0], in[1], msgs[0].msg_hdr.msg_flags, msgs[1].msg_hdr.msg_flags == MSG_TRUNC);
  SHOW(recvmmsg(a, fill(in, 4), N, MSG_DONTWAIT, NULL));
  lengths("the rest");
  SHOW(recvmmsg(a, fill(in, 4), N, MSG_DONTWAIT, NULL));
  SHOW(recvmmsg(a, fill(in, 4), 0, 0, NULL));

  PART("one is waited for");
  MUST(sendmmsg(b, fill(out, 2), 2, 0));
  SHOW(recvmmsg(a, fill(in, 4), N, MSG_WAITFORONE, NULL));
  lengths("those there");

  PART("the time");
  struct timespec t = {-1, 0};
  SHOW(recvmmsg(a, fill(in, 4), N, 0, &t));
  t = (struct timespec){0, 1000000000};
  SHOW(recvmmsg(a, fill(in, 4), N, 0, &t));
  MUST(sendmmsg(b, fill(out, 2), 2, 0));
  t = (struct timespec){0, 0};
  SHOW(recvmmsg(a, fill(in, 4), N, 0, &t));
  t = (struct timespec){50, 0};
  SHOW(recvmmsg(a, fill(in, 4), 1, 0, &t));
  SAY("left %d", t.tv_sec == 49 && t.tv_nsec > 0);
  struct timeval brief = {0, 40000};
  MUST(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof brief));
  MUST(send(b, "x", 1, 0));
  long start = milliseconds();
  t = (struct timespec){50, 0};
  SHOW(recvmmsg(a, fill(in, 4), N, 0, &t));
  SAY("waited %d", milliseconds() - start >= 39 && milliseconds() - start < 2000);

  PART("bad arguments");
  SHOW(recvmmsg(a, fill(in, 4), N, 0, (struct timespec *)8));
  MUST(send(b, "x", 1, 0));
  SHOW(recvmmsg(a, (struct mmsghdr *)8, N, 0, NULL));
  SHOW(sendmmsg(b, (struct mmsghdr *)8, N, 0));
  fill(out, 3), iov[2].iov_base = (void *)8;
  SHOW(sendmmsg(b, msgs, N, 0));
  int p[2];
  MUST(pipe(p));
  SHOW(sendmmsg(p[1], fill(out, 3), N, 0));
  SHOW(recvmmsg(p[0], fill(in, 3), N, 0, NULL));
  SHOW(sendmmsg(999, fill(out, 3), N, 0));
  SHOW(recvmmsg(999, fill(in, 3), N, 0, NULL));

  PART("a stream");
  connection(&c, &d);
  SHOW(sendmmsg(c, fill(out, 3), N, MSG_NOSIGNAL));
  lengths("sent");
  MUST(shutdown(c, SHUT_WR));
  settled(d, POLLRDHUP);
  SHOW(recvmmsg(d, fill(in, 8), N, 0, NULL));
  lengths("received");
  SHOW(recvmmsg(d, fill(in, 8), 2, 0, NULL));
  lengths("the end");
  signal(SIGPIPE, SIG_IGN);
  SHOW(sendmmsg(c, fill(out, 3), N, 0));

  PART("pselect");
  fd_set set;
  FD_ZERO(&set);
  FD_SET(a, &set);
  t = (struct timespec){0, 20000000};
  MUST(recv(a, in, 8, MSG_DONTWAIT | MSG_TRUNC));
  while (recv(a, in, 8, MSG_DONTWAIT) >= 0) {}
  SHOW(pselect(a + 1, &set, NULL, NULL, &t, NULL));
  SAY("time as it was %d, set %d", t.tv_nsec == 20000000, FD_ISSET(a, &set) != 0);
  FD_SET(a, &set);
  MUST(send(b, "x", 1, 0));
  SHOW(pselect(a + 1, &set, NULL, NULL, NULL, NULL));
  t.tv_nsec = -1;
  SHOW(pselect(a + 1, &set, NULL, NULL, &t, NULL));
  SHOW(pselect(-1, NULL, NULL, NULL, NULL, NULL));
  return 0;
}
