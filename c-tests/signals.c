// Signals in blocking calls: EINTR, SA_RESTART, the calls that never restart, signal masks, SIGPIPE and MSG_NOSIGNAL.
#include "api.h"
#include <sys/syscall.h>

static volatile int hits;
static char buf[1 << 16];
static pthread_t main_thread;
static int main_id;

static void handler(int s) { (void)s, hits++; }

static void handle(int sig, int flags) {
  struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};
  MUST(sigaction(sig, &sa, NULL));
}

struct plan { int then_ms, fd; };

// Whether a thread that waits for a socket may sleep in this call. It also sleeps for locks (valgrind has one around
// everything), for memory that comes from the disk, and then in none.
static int is_waiting(long call) {
  static const long calls[] = {
      SYS_read,    SYS_readv, SYS_recvfrom, SYS_recvmsg, SYS_accept,   SYS_accept4,    SYS_sendto,
      SYS_sendmsg, SYS_poll,  SYS_ppoll,    SYS_select,  SYS_pselect6, SYS_epoll_wait, SYS_epoll_pwait};
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
    if (calls[i] == call) return 1;
  return 0;
}

// Waits until the main thread sleeps in such a call, and does so still at a second look.
static void until_it_waits(void) {
  char path[64], state[64] = "";
  long call = -1;
  snprintf(path, sizeof path, "/proc/self/task/%d/syscall", main_id);
  for (long end = milliseconds() + 60000; milliseconds() < end; usleep(20000)) {
    FILE *f = fopen(path, "r");
    long before = call;
    call = f && fgets(state, sizeof state, f) && *state != 'r' ? strtol(state, NULL, 10) : -1;
    if (f) fclose(f);
    if (is_waiting(call) && call == before) return;
  }
}

// Interrupts the main thread, then makes the call it waits in succeed.
static void *disturb(void *arg) {
  struct plan p = *(struct plan *)arg;
  until_it_waits();
  pthread_kill(main_thread, SIGUSR1);
  usleep(p.then_ms * 1000);
  if (p.fd >= 0) send_all(p.fd, "late", 4);
  return NULL;
}

#define DISTURBED(call, feed)                                              \
  do {                                                                     \
    struct plan plan = {100, feed};                                    \
    pthread_t t;                                                           \
    hits = 0;                                                              \
    MUST(pthread_create(&t, NULL, disturb, &plan));                        \
    show(#call, (long)(call));                                             \
    MUST(pthread_join(t, NULL));                                           \
    SAY("  handler ran %d", hits);                                         \
  } while (0)

static void *dial_later(void *arg) {
  while (!hits) usleep(1000);
  usleep(100000);
  int c = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(c, ADDR(*(struct sockaddr_in *)arg)));
  return (void *)(long)c;
}

static void waits(const char *what, int flags) {
  int a, b;
  struct sockaddr_in where;
  PART(what);
  handle(SIGUSR1, flags);
  connection(&a, &b);
  DISTURBED(recv(a, buf, 4, 0), b);
  if (!flags) recv_all(a, buf, 4);
  DISTURBED(read(a, buf, 4), b);
  if (!flags) recv_all(a, buf, 4);
  struct iovec io = {buf, 4};
  struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
  DISTURBED(recvmsg(a, &m, 0), b);
  if (!flags) recv_all(a, buf, 4);

  int l = listener(5, &where);
  pthread_t dialler;
  hits = 0;
  MUST(pthread_create(&dialler, NULL, dial_later, &where));
  struct plan plan = {0, -1};
  pthread_t t;
  MUST(pthread_create(&t, NULL, disturb, &plan));
  int s = accept(l, NULL, NULL);
  SAY("accept: %s", s < 0 ? strerrorname_np(errno) : "accepted");
  MUST(pthread_join(t, NULL));
  void *c;
  MUST(pthread_join(dialler, &c));
  MUST(close((int)(long)c)), MUST(close(l));
  if (s >= 0) MUST(close(s));

  PART("with a time-out set nothing restarts");
  struct timeval tv = {3, 0};
  MUST(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
  DISTURBED(recv(a, buf, 4, 0), b);
  recv_all(a, buf, 4);
  tv.tv_sec = 0;
  MUST(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));

  PART("poll, select and epoll never restart");
  struct pollfd p = {.fd = a, .events = POLLIN};
  DISTURBED(poll(&p, 1, 5000), -1);
  DISTURBED(poll(&p, 1, -1), -1);
  DISTURBED(ppoll(&p, 1, NULL, NULL), -1);
  fd_set r;
  FD_ZERO(&r); FD_SET(a, &r);
  DISTURBED(select(a + 1, &r, NULL, NULL, NULL), -1);
  int ep = MUST(epoll_create1(0));
  struct epoll_event ev = {.events = EPOLLIN};
  MUST(epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev));
  DISTURBED(epoll_wait(ep, &ev, 1, -1), -1);
  DISTURBED(epoll_pwait(ep, &ev, 1, 5000, NULL), -1);
  MUST(close(ep));

  PART("some was received before the signal");
  send_all(b, "some", 4), settled(a, POLLIN);
  if (!flags) DISTURBED(recv(a, buf, 8, MSG_WAITALL), -1);
  else DISTURBED(recv(a, buf, 8, MSG_WAITALL), b);

  PART("sending");
  set(b, SOL_SOCKET, SO_RCVBUF, 4096);
  set(a, SOL_SOCKET, SO_SNDBUF, 32768);
  nonblocking(a);
  while (send(a, buf, sizeof buf, 0) > 0 || (usleep(10000), send(a, buf, sizeof buf, 0) > 0)) {}
  MUST(fcntl(a, F_SETFL, 0));
  if (!flags) DISTURBED(send(a, buf, 65536, 0), -1);
  MUST(close(a)), MUST(close(b));
}

static void masks(void) {
  int a, b;
  sigset_t block, none, old;
  PART("masks of ppoll and epoll_pwait");
  connection(&a, &b);
  handle(SIGUSR1, 0);
  sigemptyset(&none), sigemptyset(&block), sigaddset(&block, SIGUSR1);
  MUST(pthread_sigmask(SIG_BLOCK, &block, &old));
  hits = 0;
  pthread_kill(main_thread, SIGUSR1);
  struct pollfd p = {.fd = a, .events = POLLIN};
  SHOW(poll(&p, 1, 30));
  SAY("handler ran %d", hits);
  SHOW(ppoll(&p, 1, &(struct timespec){2, 0}, &none));
  SAY("handler ran %d", hits);
  sigset_t now;
  MUST(pthread_sigmask(SIG_BLOCK, NULL, &now));
  SAY("mask back %d", sigismember(&now, SIGUSR1));
  int ep = MUST(epoll_create1(0));
  struct epoll_event ev = {.events = EPOLLIN};
  MUST(epoll_ctl(ep, EPOLL_CTL_ADD, a, &ev));
  pthread_kill(main_thread, SIGUSR1);
  SHOW(epoll_wait(ep, &ev, 1, 30));
  SHOW(epoll_pwait(ep, &ev, 1, 2000, &none));
  SAY("handler ran %d", hits);
  MUST(pthread_sigmask(SIG_SETMASK, &old, NULL));
  hits = 0;
  send_all(b, "x", 1), settled(a, POLLIN);
  SHOW(epoll_pwait(ep, &ev, 1, 2000, &block));
  MUST(close(ep)), MUST(close(a)), MUST(close(b));
}

static void broken_pipe(void) {
  int a, b;
  PART("SIGPIPE");
  handle(SIGPIPE, SA_RESTART);
  connection(&a, &b);
  MUST(shutdown(a, SHUT_WR));
  hits = 0;
  SHOW(send(a, "x", 1, 0));
  SAY("handler ran %d", hits);
  SHOW(write(a, "x", 1));
  SAY("handler ran %d", hits);
  SHOW(sendto(a, "x", 1, 0, NULL, 0));
  struct iovec io = {buf, 4};
  struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
  SHOW(writev(a, &io, 1));
  SHOW(sendmsg(a, &m, 0));
  SAY("handler ran %d", hits);
  SHOW(send(a, "x", 1, MSG_NOSIGNAL));
  SHOW(sendmsg(a, &m, MSG_NOSIGNAL));
  SHOW(send(a, "", 0, 0));
  SAY("handler ran %d", hits);
  MUST(close(a));
  a = MUST(socket(AF_INET, SOCK_STREAM, 0));
  SHOW(send(a, "x", 1, 0));
  SAY("handler ran %d", hits);
  MUST(close(a)), MUST(close(b));
  PART("a reset is reported before the pipe is broken");
  connection(&a, &b);
  struct linger now = {1, 0};
  MUST(setsockopt(b, SOL_SOCKET, SO_LINGER, &now, sizeof now));
  MUST(close(b)), settled(a, POLLERR);
  hits = 0;
  SHOW(send(a, "x", 1, 0));
  SAY("handler ran %d", hits);
  SHOW(send(a, "x", 1, 0));
  SAY("handler ran %d", hits);
  signal(SIGPIPE, SIG_IGN);
  SHOW(send(a, "x", 1, 0));
  MUST(close(a));
}

int main(void) {
  main_thread = pthread_self(), main_id = gettid();
  waits("without SA_RESTART", 0);
  waits("with SA_RESTART", SA_RESTART);
  masks();
  broken_pipe();
  return 0;
}
