/* Calls the adapter as packetdrill does: a main thread that moves the time and is the wire, and a second thread for
 * calls that block, which is watched in /proc until it sleeps. Every check that fails says where, and ends it.
 *
 * driver LIBRARY                 all checks
 * driver LIBRARY preloaded       the same with the library in LD_PRELOAD
 * driver LIBRARY flags FLAGS     makes a stack of these flags and ends */
#define _GNU_SOURCE
#include "interface.h"
#include "wire.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#define LOCAL "192.168.0.1"
#define REMOTE "192.0.2.1"
#define FLAGS LOCAL " " LOCAL " 16 192.0.2.0/24 1500"
#define SECOND 1000000ll

static struct packetdrill_interface p;
static U u;

#define CHECK(what)                                                                  \
  do {                                                                               \
    if (!(what)) {                                                                   \
      printf("line %d: not so: %s (errno %s)\n", __LINE__, #what, strerror(errno));  \
      exit(1);                                                                       \
    }                                                                                \
  } while (0)
#define FAILS(call, error) CHECK((call) == -1 && errno == (error))

static long long now(void) {
  struct timeval tv;
  CHECK(p.gettimeofday(u, &tv, NULL) == 0);
  return tv.tv_sec * SECOND + tv.tv_usec;
}

static int is_near(long long a, long long b) { return a - b < 1000 && b - a < 1000; }

static double real(void) {
  struct timespec ts;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* ---- the wire ---- */

static struct segment got;
static char got_data[2000];
static long long got_at;

static void receive(void) {
  uint8_t packet[65536];
  size_t len = sizeof packet;
  CHECK(p.netdev_receive(u, packet, &len, &got_at) == 0);
  memset(&got, 0, sizeof got);
  if (len == 0) return;
  CHECK(packet[0] == 0x45 && take(packet + 2, 2) == len && packet[9] == 6);
  CHECK(folded(add(0, packet, 20)) == 0);
  uint8_t *t = packet + 20;
  size_t header = (size_t)(t[12] >> 4) * 4;
  CHECK(folded(add((uint32_t)(6 + len - 20) + add(0, packet + 12, 8), t, len - 20)) == 0);
  got = (struct segment){.from = (uint16_t)take(t, 2), .to = (uint16_t)take(t + 2, 2), .seq = take(t + 4, 4),
                         .ack = take(t + 8, 4), .flags = t[13], .window = (uint16_t)take(t + 14, 2),
                         .data = got_data, .len = len - 20 - header};
  memcpy(got_data, t + header, got.len);
}

static void inject(struct segment s) {
  uint8_t packet[65536];
  CHECK(p.netdev_send(u, packet, emit(packet, REMOTE, LOCAL, s)) == 0);
}

/* The peer's end of a connection. */
struct peer {
  uint16_t port, to;
  uint32_t next, expected;
};

static void say(struct peer *peer, uint8_t flags, const char *data) {
  size_t len = data ? strlen(data) : 0;
  inject((struct segment){peer->port, peer->to, peer->next, peer->expected, flags, 65535, data, len});
  peer->next += (uint32_t)len + (flags & FIN ? 1 : 0);
}

/* Data of the stack, which is acknowledged. */
static void hear(struct peer *peer, const char *data) {
  do receive();
  while (got.len == 0 && (got.flags & (SYN | FIN | RST)) == 0 && got.flags != 0);
  CHECK(got.len == strlen(data) && memcmp(got.data, data, got.len) == 0);
  peer->expected = got.seq + (uint32_t)got.len;
  say(peer, ACK, NULL);
}

/* ---- the thread for calls that block ---- */

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static enum { IDLE, ASKED, BEGUN } state = IDLE;
static long (*task)(void);
static long result;
static int result_errno;
static long long ended_at;
static pid_t worker;

static void *work(void *unused) {
  (void)unused;
  pthread_mutex_lock(&turn);
  worker = gettid();
  for (;;) {
    while (state != ASKED) pthread_cond_wait(&changed, &turn);
    state = BEGUN;
    pthread_mutex_unlock(&turn);
    pthread_cond_broadcast(&changed);
    long value = task();
    int error = errno;
    long long at = now();
    pthread_mutex_lock(&turn);
    result = value;
    result_errno = error;
    ended_at = at;
    state = IDLE;
    pthread_cond_broadcast(&changed);
  }
  return NULL;
}

static int is_asleep(pid_t thread) {
  char path[64], stat[1024] = "";
  snprintf(path, sizeof path, "/proc/%d/task/%d/stat", getpid(), thread);
  int fd = open(path, O_RDONLY);
  CHECK(fd >= 0 && read(fd, stat, sizeof stat - 1) > 0 && close(fd) == 0);
  return strrchr(stat, ')')[2] == 'S';
}

static void await_idle(void) {
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += 1;
  while (state != IDLE) CHECK(pthread_cond_timedwait(&changed, &turn, &end) == 0);
}

/* Has the other thread make a call, and returns when it sleeps in it or has made it. */
static void begin(long (*call)(void)) {
  await_idle();
  task = call;
  state = ASKED;
  pthread_cond_broadcast(&changed);
  while (state == ASKED) pthread_cond_wait(&changed, &turn);
  for (int over = 0; !over;) {
    pthread_mutex_unlock(&turn);
    sched_yield();
    over = is_asleep(worker);
    pthread_mutex_lock(&turn);
    over |= state == IDLE;
  }
}

/* The main thread's sleeps, which leave the turn to the other. */
static void pass(long long micros) {
  pthread_mutex_unlock(&turn);
  CHECK(p.usleep(u, (useconds_t)micros) == 0);
  pthread_mutex_lock(&turn);
}

/* Once in a while it may be up for a look around. */
static int is_blocked(void) {
  for (int i = 0; i < 1000 && state == BEGUN && !is_asleep(worker); i++) sched_yield();
  return state == BEGUN && is_asleep(worker);
}

/* ---- what the other thread does ---- */

static int fd, listener, accepted;
static struct sockaddr_in remote;
static struct sockaddr_storage from;
static socklen_t from_len;
static char buf[4096];
static struct pollfd polled;
static struct epoll_event event;
static int epfd, patience, ends[2];

static long do_connect(void) { return p.connect(u, fd, (struct sockaddr *)&remote, sizeof remote); }
static long do_accept(void) {
  from_len = sizeof from;
  return accepted = p.accept(u, listener, (struct sockaddr *)&from, &from_len);
}
static long do_read(void) { return p.read(u, fd, buf, sizeof buf); }
static long do_poll(void) { return p.poll(u, &polled, 1, patience); }
static long do_splice(void) { return p.splice(u, fd, NULL, ends[1], NULL, 100, 0); }
static long do_epoll(void) { return p.epoll_wait(u, epfd, &event, 1, patience); }

/* ---- the checks ---- */

static struct sockaddr_in v4(const char *addr, uint16_t port) {
  struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, addr, &sin.sin_addr);
  return sin;
}

static void time_moves_when_it_is_told_to(void) {
  double begun = real();
  long long a = now(), b = now();
  CHECK(b > a && b - a < 10);
  pass(3600 * SECOND);
  CHECK(is_near(now(), b + 3600 * SECOND));
  size_t len = sizeof buf;
  long long at;
  CHECK(p.netdev_receive(u, buf, &len, &at) == 0 && len == 0);
  CHECK(real() - begun < 5);
}

static struct peer connect_blocks_until_the_answer_comes(void) {
  fd = p.socket(u, AF_INET, SOCK_STREAM, IPPROTO_TCP);
  CHECK(fd >= 0 && fcntl(fd, F_GETFD) >= 0);
  remote = v4(REMOTE, 8080);
  long long called = now();
  begin(do_connect);
  CHECK(is_blocked());
  receive();
  CHECK(got.flags == SYN && got.to == 8080 && is_near(got_at, called));
  uint32_t isn = got.seq;
  /* Nobody answers: it comes again a second later. */
  receive();
  CHECK(got.flags == SYN && got.seq == isn && is_near(got_at, called + SECOND) && is_blocked());
  pass(SECOND / 10);
  struct peer peer = {8080, got.from, 1000, isn + 1};
  long long answered = now();
  inject((struct segment){8080, got.from, peer.next++, peer.expected, SYN | ACK, 65535, NULL, 0});
  pass(10 * SECOND);
  CHECK(state == IDLE && result == 0 && is_near(ended_at, answered));
  receive();
  CHECK(got.flags == ACK && got.ack == peer.next && is_near(got_at, answered));
  return peer;
}

static void reads_block_and_time_out(struct peer *peer) {
  begin(do_read);
  pass(SECOND);
  CHECK(is_blocked());
  long long sent = now();
  say(peer, PSH | ACK, "hello");
  pass(SECOND);
  CHECK(state == IDLE && result == 5 && memcmp(buf, "hello", 5) == 0 && is_near(ended_at, sent));
  struct timeval limit = {0, 300000};
  CHECK(p.setsockopt(u, fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
  long long called = now();
  begin(do_read);
  CHECK(is_blocked());
  pass(SECOND);
  CHECK(state == IDLE && result == -1 && result_errno == EAGAIN && is_near(ended_at, called + 300000));
  /* Nobody but the thread that waits moves the time: the main one waits for it. */
  double begun = real();
  called = now();
  begin(do_read);
  await_idle();
  CHECK(result == -1 && result_errno == EAGAIN && is_near(ended_at, called + 300000) && real() - begun < 0.5);
  /* Nor does another thread when the main one blocks itself. */
  called = now();
  FAILS(p.read(u, fd, buf, sizeof buf), EAGAIN);
  CHECK(is_near(now(), called + 300000));
  /* While the main thread waits for something else than a thread, the time stands. */
  called = now();
  begin(do_read);
  CHECK(system("sleep 0.1") == 0 && is_near(now(), called));
  CHECK(is_blocked());
  pass(SECOND);
  limit.tv_usec = 0;
  CHECK(p.setsockopt(u, fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
}

static void waits_end_in_time(struct peer *peer) {
  polled = (struct pollfd){fd, POLLIN, 0};
  patience = 250;
  long long called = now();
  begin(do_poll);
  CHECK(is_blocked());
  pass(SECOND);
  CHECK(result == 0 && is_near(ended_at, called + 250000));
  CHECK(p.poll(u, &polled, 1, 0) == 0);
  called = now();
  CHECK(p.poll(u, &polled, 1, 100) == 0 && is_near(now(), called + 100000));
  epfd = p.epoll_create(u, 1);
  CHECK(epfd >= 0 && fcntl(epfd, F_GETFD) >= 0);
  FAILS(p.epoll_create(u, 0), EINVAL);
  struct epoll_event asked = {.events = EPOLLIN, .data.u64 = 77};
  CHECK(p.epoll_ctl(u, epfd, EPOLL_CTL_ADD, fd, &asked) == 0);
  called = now();
  CHECK(p.epoll_wait(u, epfd, &event, 1, 100) == 0 && is_near(now(), called + 100000));
  patience = -1;
  begin(do_epoll);
  pass(SECOND);
  CHECK(is_blocked());
  called = now();
  say(peer, PSH | ACK, "x");
  pass(SECOND);
  CHECK(result == 1 && event.events == EPOLLIN && event.data.u64 == 77 && is_near(ended_at, called));
  CHECK(p.poll(u, &polled, 1, -1) == 1 && polled.revents == POLLIN);
  CHECK(p.close(u, epfd) == 0 && fcntl(epfd, F_GETFD) == -1);
}

static void data_goes_both_ways(struct peer *peer) {
  int left = 0, word;
  CHECK(p.ioctl(u, fd, FIONREAD, &left) == 0 && left == 1);
  CHECK(p.recv(u, fd, buf, sizeof buf, MSG_PEEK) == 1 && buf[0] == 'x');
  struct iovec two[2] = {{buf, 2}, {buf + 2, 100}};
  CHECK(p.readv(u, fd, two, 2) == 1);
  CHECK(p.fcntl(u, fd, F_GETFL) == O_RDWR);
  CHECK(p.fcntl(u, fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0 && p.fcntl(u, fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
  from_len = sizeof from;
  FAILS(p.recvfrom(u, fd, buf, sizeof buf, 0, (struct sockaddr *)&from, &from_len), EAGAIN);
  say(peer, PSH | ACK, "message");
  struct msghdr msg = {.msg_iov = two, .msg_iovlen = 2};
  CHECK(p.recvmsg(u, fd, &msg, 0) == 7 && msg.msg_flags == 0 && memcmp(buf, "message", 7) == 0);
  word = 1;
  CHECK(p.setsockopt(u, fd, IPPROTO_TCP, TCP_NODELAY, &word, sizeof word) == 0);
  socklen_t len = sizeof word;
  word = 0;
  CHECK(p.getsockopt(u, fd, IPPROTO_TCP, TCP_NODELAY, &word, &len) == 0 && word == 1 && len == 4);
  CHECK(p.write(u, fd, "write", 5) == 5);
  hear(peer, "write");
  struct iovec out[2] = {{(void *)"wri", 3}, {(void *)"tev", 3}};
  CHECK(p.writev(u, fd, out, 2) == 6);
  hear(peer, "writev");
  CHECK(p.send(u, fd, "send", 4, MSG_NOSIGNAL) == 4);
  hear(peer, "send");
  CHECK(p.sendto(u, fd, "sendto", 6, 0, NULL, 0) == 6);
  hear(peer, "sendto");
  struct msghdr outgoing = {.msg_iov = out, .msg_iovlen = 2};
  CHECK(p.sendmsg(u, fd, &outgoing, 0) == 6);
  hear(peer, "writev");
}

static void splices_go_both_ways(struct peer *peer) {
  loff_t zero = 0;
  CHECK(p.pipe(u, ends) == 0);
  FAILS(p.splice(u, fd, &zero, ends[1], &zero, 100, 0), EAGAIN);
  say(peer, PSH | ACK, "spliced");
  CHECK(p.splice(u, fd, &zero, ends[1], &zero, 100, 0) == 7);
  CHECK(p.splice(u, ends[0], &zero, fd, NULL, 100, 0) == 7);
  hear(peer, "spliced");
  FAILS(p.splice(u, ends[0], NULL, fd, NULL, 100, SPLICE_F_NONBLOCK), EAGAIN);
  FAILS(p.splice(u, fd, NULL, fd, NULL, 100, 0), EINVAL);
  CHECK(p.write(u, ends[1], "pipe", 4) == 4 && p.read(u, ends[0], buf, 4) == 4);
  CHECK(p.close(u, ends[0]) == 0 && p.close(u, ends[1]) == 0);
  FAILS(p.close(u, ends[0]), EBADF);
}

/* No splice passes the urgent byte, nor waits at it. */
static void splices_stop_at_the_urgent_byte(struct peer *peer) {
  CHECK(p.pipe(u, ends) == 0);
  say(peer, URG | ACK, "abc!");
  CHECK(do_splice() == 3 && p.read(u, ends[0], buf, sizeof buf) == 3 && memcmp(buf, "abc", 3) == 0);
  FAILS(do_splice(), EAGAIN);
  CHECK(p.fcntl(u, fd, F_SETFL, O_RDWR) == 0 && do_splice() == 0);
  say(peer, PSH | ACK, "behind");
  CHECK(do_splice() == 0 && p.read(u, fd, buf, sizeof buf) == 6 && memcmp(buf, "behind", 6) == 0);
  begin(do_splice);
  CHECK(is_blocked());
  say(peer, URG | ACK, "?");
  await_idle();
  CHECK(result == 0 && p.recv(u, fd, buf, 1, MSG_OOB) == 1 && buf[0] == '?');
  say(peer, PSH | ACK, "x");
  CHECK(p.read(u, fd, buf, sizeof buf) == 1 && buf[0] == 'x');
  begin(do_splice);
  CHECK(is_blocked());
  say(peer, PSH | ACK, "late");
  await_idle();
  CHECK(result == 4 && p.read(u, ends[0], buf, sizeof buf) == 4 && memcmp(buf, "late", 4) == 0);
  struct timeval limit = {0, 300000};
  CHECK(p.setsockopt(u, fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
  long long called = now();
  FAILS(do_splice(), EAGAIN);
  CHECK(is_near(now(), called + 300000));
  CHECK(p.close(u, ends[0]) == 0 && p.close(u, ends[1]) == 0);
}

/* What packetdrill does in code blocks and at a script's end, by libc's own names. */
static void libc_reaches_the_stack(struct peer *peer, int preloaded) {
  struct tcp_info info = {0};
  socklen_t len = sizeof info;
  if (!preloaded) {
    CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == -1);
    CHECK(p.getsockopt(u, fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state == TCP_ESTABLISHED);
    return;
  }
  CHECK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state == TCP_ESTABLISHED);
  uint32_t memory[9];
  len = sizeof memory;
  CHECK(getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &len) == 0 && len == sizeof memory && memory[1] > 0);
  uint32_t cc[16];
  len = sizeof cc;
  CHECK(getsockopt(fd, IPPROTO_TCP, TCP_CC_INFO, cc, &len) == 0 && len == 0);
  int word = 1;
  CHECK(setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &word, sizeof word) == 0);
  FILE *file = tmpfile();
  off_t at = 2;
  CHECK(file != NULL && fwrite("a file", 1, 6, file) == 6 && fflush(file) == 0);
  CHECK(sendfile(fd, fileno(file), &at, 100) == 4 && at == 6);
  hear(peer, "file");
  at = 0;
  CHECK(sendfile64(fd, fileno(file), &at, 1) == 1);
  hear(peer, "a");
  /* What is not the stack's is the kernel's. */
  int kernel = socket(AF_UNIX, SOCK_STREAM, 0);
  len = sizeof word;
  CHECK(getsockopt(kernel, SOL_SOCKET, SO_TYPE, &word, &len) == 0 && word == SOCK_STREAM);
  CHECK(setsockopt(kernel, SOL_SOCKET, SO_PASSCRED, &word, sizeof word) == 0);
  CHECK(close(kernel) == 0 && fcntl(kernel, F_GETFD) == -1);
  int other = open("/dev/null", O_WRONLY);
  at = 0;
  CHECK(other >= 0 && sendfile(other, fileno(file), &at, 6) == 6 && close(other) == 0 && fclose(file) == 0);
}

static void the_end_is_seen(struct peer *peer, int preloaded) {
  CHECK(p.shutdown(u, fd, SHUT_WR) == 0);
  do receive();
  while ((got.flags & FIN) == 0 && got.flags != 0);
  CHECK(got.flags & FIN);
  peer->expected = got.seq + 1;
  say(peer, FIN | ACK, NULL);
  CHECK(p.read(u, fd, buf, sizeof buf) == 0);
  CHECK((preloaded ? close(fd) : p.close(u, fd)) == 0);
  FAILS(p.read(u, fd, buf, 1), EBADF);
  receive();
  CHECK(got.flags == ACK && got.ack == peer->next);
}

static struct peer accept_blocks_until_somebody_connects(int domain, const char *where) {
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(9000)};
  if (domain == AF_INET6) CHECK(inet_pton(AF_INET6, where, &v6.sin6_addr) == 1);
  struct sockaddr_in sin = v4(where, 9000);
  int one = 1, is_v6 = domain == AF_INET6;
  listener = p.socket(u, domain, SOCK_STREAM, 0);
  CHECK(listener >= 0 && p.setsockopt(u, listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
  CHECK(p.bind(u, listener, is_v6 ? (void *)&v6 : (void *)&sin, is_v6 ? sizeof v6 : sizeof sin) == 0);
  CHECK(p.listen(u, listener, 5) == 0);
  begin(do_accept);
  pass(SECOND);
  CHECK(is_blocked());
  struct peer peer = {4321, 9000, 5000, 0};
  inject((struct segment){4321, 9000, peer.next++, 0, SYN, 65535, NULL, 0});
  receive();
  CHECK(got.flags == (SYN | ACK) && got.ack == peer.next && is_blocked());
  peer.expected = got.seq + 1;
  long long answered = now();
  say(&peer, ACK, NULL);
  pass(SECOND);
  CHECK(state == IDLE && result >= 0 && fcntl(accepted, F_GETFD) >= 0 && is_near(ended_at, answered));
  if (is_v6) {
    struct sockaddr_in6 *who = (struct sockaddr_in6 *)&from;
    CHECK(who->sin6_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&who->sin6_addr) && who->sin6_port == htons(4321));
  } else {
    struct sockaddr_in *who = (struct sockaddr_in *)&from;
    CHECK(who->sin_family == AF_INET && who->sin_addr.s_addr == inet_addr(REMOTE) && who->sin_port == htons(4321));
  }
  return peer;
}

static void a_reset_frees_the_connection(struct peer *peer) {
  fd = accepted;
  begin(do_read);
  CHECK(is_blocked());
  say(peer, RST | ACK, NULL);
  await_idle();
  CHECK(result == -1 && result_errno == ECONNRESET);
  CHECK(p.close(u, accepted) == 0 && p.close(u, listener) == 0);
}

/* The flags of the first SYN of a socket that is opened now. */
static uint8_t first_syn(int domain) {
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(8080)};
  inet_pton(AF_INET6, "::ffff:" REMOTE, &v6.sin6_addr);
  struct sockaddr_in sin = v4(REMOTE, 8080);
  int is_v6 = domain == AF_INET6, s = p.socket(u, domain, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK(s >= 0);
  FAILS(p.connect(u, s, is_v6 ? (void *)&v6 : (void *)&sin, is_v6 ? sizeof v6 : sizeof sin), EINPROGRESS);
  receive();
  CHECK(p.close(u, s) == 0);
  return got.flags;
}

static void set(const char *lines) {
  FILE *file = fopen(getenv("SOCKEYE_SYSCTL"), "w");
  CHECK(file && fputs(lines, file) >= 0 && fclose(file) == 0);
}

static int has_congestion_control(int s, const char *name) {
  char found[16];
  socklen_t len = sizeof found;
  return p.getsockopt(u, s, IPPROTO_TCP, TCP_CONGESTION, found, &len) == 0 && strcmp(found, name) == 0;
}

static void settings_are_read_for_every_socket(void) {
  set("# a comment\nnet.ipv4.tcp_ecn = 1\nnet.ipv4.tcp_unheard_of=5\nkernel.shmmax=x\n"
      "net.ipv4.tcp_congestion_control=reno\nnet.ipv4.tcp_syn_retries=3\n"
      "net.ipv4.tcp_wmem=4096\t262144\t4194304\nnet.ipv4.tcp_fastopen=0x1\n");
  CHECK(first_syn(AF_INET) == (SYN | ECE | CWR));
  int s = p.socket(u, AF_INET, SOCK_STREAM, 0);
  CHECK(has_congestion_control(s, "reno"));
  int tries = 0;
  socklen_t len = sizeof tries;
  CHECK(p.getsockopt(u, s, IPPROTO_TCP, TCP_SYNCNT, &tries, &len) == 0 && tries == 3);
  CHECK(p.close(u, s) == 0);
  set("");
  CHECK(first_syn(AF_INET6) == SYN);
}

/* What is set later holds for the connections that begin then, and for what Linux looks up when it needs it. */
static void settings_reach_sockets_that_are_open(void) {
  struct sockaddr_in sin = v4(LOCAL, 9001);
  int s = p.socket(u, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  listener = p.socket(u, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  CHECK(p.bind(u, listener, (void *)&sin, sizeof sin) == 0 && p.listen(u, listener, 5) == 0);
  set("net.ipv4.tcp_ecn=1\nnet.ipv4.tcp_congestion_control=reno\nnet.ipv4.tcp_keepalive_time=10\n");
  FAILS(p.connect(u, s, (struct sockaddr *)&remote, sizeof remote), EINPROGRESS);
  receive();
  CHECK(got.flags == (SYN | ECE | CWR) && has_congestion_control(s, "cubic"));
  int idle = 0;
  socklen_t len = sizeof idle;
  CHECK(p.getsockopt(u, s, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &len) == 0 && idle == 10 && p.close(u, s) == 0);
  /* As long as what was there: the text is what tells. */
  set("net.ipv4.tcp_ecn=0\nnet.ipv4.tcp_congestion_control=reno\nnet.ipv4.tcp_keepalive_time=20\n");
  struct peer peer = {4322, 9001, 7000, 0};
  inject((struct segment){4322, 9001, peer.next++, 0, SYN | ECE | CWR, 65535, NULL, 0});
  receive();
  CHECK(got.flags == (SYN | ACK));
  peer.expected = got.seq + 1;
  say(&peer, ACK, NULL);
  CHECK((fd = p.accept(u, listener, NULL, NULL)) >= 0 && has_congestion_control(fd, "reno"));
  CHECK(p.getsockopt(u, fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, &len) == 0 && idle == 20);
  say(&peer, RST | ACK, NULL);
  CHECK(p.close(u, fd) == 0 && p.close(u, listener) == 0);
  set("");
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  CHECK(argc >= 2);
  int preloaded = argc > 2;
  void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE | RTLD_DEEPBIND);
  if (!library) printf("%s\n", dlerror());
  CHECK(library != NULL);
  void (*init)(const char *, struct packetdrill_interface *) = dlsym(library, "packetdrill_interface_init");
  CHECK(init != NULL);
  /* As packetdrill does, where it may. */
  struct sched_param priority = {sched_get_priority_min(SCHED_RR)};
  sched_setscheduler(0, SCHED_RR, &priority);
  mlockall(MCL_CURRENT | MCL_FUTURE);
  signal(SIGPIPE, SIG_IGN);
  if (argc > 3) {
    init(argv[3], &p);
    printf("a stack was made\n");
    return 0;
  }
  pthread_t thread;
  pthread_mutex_lock(&turn);
  CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
  init(FLAGS, &p);
  u = p.userdata;
  for (size_t i = 0; i < sizeof p / sizeof(void *); i++) CHECK(((void **)&p)[i] != NULL);
  CHECK(sizeof p == 33 * sizeof(void *));

  time_moves_when_it_is_told_to();
  struct peer peer = connect_blocks_until_the_answer_comes();
  reads_block_and_time_out(&peer);
  waits_end_in_time(&peer);
  data_goes_both_ways(&peer);
  splices_go_both_ways(&peer);
  splices_stop_at_the_urgent_byte(&peer);
  libc_reaches_the_stack(&peer, preloaded);
  the_end_is_seen(&peer, preloaded);
  peer = accept_blocks_until_somebody_connects(AF_INET, LOCAL);
  a_reset_frees_the_connection(&peer);
  peer = accept_blocks_until_somebody_connects(AF_INET6, "::ffff:" LOCAL);
  a_reset_frees_the_connection(&peer);
  peer = accept_blocks_until_somebody_connects(AF_INET6, "::");
  a_reset_frees_the_connection(&peer);
  settings_are_read_for_every_socket();
  settings_reach_sockets_that_are_open();
  FAILS(p.socket(u, AF_UNIX, SOCK_STREAM, 0), EAFNOSUPPORT);
  p.free(u);

  /* The next script of the same process has a stack of its own. */
  init(FLAGS, &p);
  u = p.userdata;
  CHECK(first_syn(AF_INET) == SYN);
  p.free(u);
  printf("all is as it should be\n");
  return 0;
}
