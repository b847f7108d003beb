// Traffic whose every byte is checked at both ends: who sends and who echoes both know what comes where, by a number
// that the first eight bytes say. Runs on the kernel's sockets, and on a stack by the preload library. One line says
// how it ended; whoever waits for longer than LIFE seconds is ended by SIGALRM, which is a hang.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIFE 60
#define HEAD 8
#define MOST 900
#define CHUNK 65536
#define MESSAGE 64

static int failed(const char *call, uint64_t at) {
  printf("error %s %s at %ju\n", call, strerrorname_np(errno), (uintmax_t)at);
  fflush(stdout);
  return 2;
}

static int wrong(uint64_t at) {
  printf("WRONG at %ju\n", (uintmax_t)at);
  fflush(stdout);
  return 3;
}

static void say(const char *line) {
  puts(line);
  fflush(stdout);
}

// The stream of that number, from a place on.
static void fill(unsigned char *into, size_t len, uint64_t seed, uint64_t from) {
  for (size_t i = 0; i < len; i++) {
    uint64_t at = from + i;
    into[i] = at < HEAD ? (unsigned char)(seed >> (8 * at)) : (unsigned char)((at * 0x9E3779B97F4A7C15u + seed) >> 56);
  }
}

// How many bytes are the stream's; all of them if nothing is wrong.
static size_t same(const unsigned char *got, size_t len, uint64_t seed, uint64_t from) {
  static unsigned char want[CHUNK];
  fill(want, len, seed, from);
  if (!memcmp(got, want, len)) return len;
  size_t i = 0;
  while (got[i] == want[i]) i++;
  return i;
}

static struct sockaddr_in at(const char *ip, const char *port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  inet_pton(AF_INET, ip, &a.sin_addr);
  return a;
}

static int is_early(void) { return errno == EAGAIN || errno == EINTR; }

// ---- who echoes ----

static struct echo {
  uint64_t seed, in, out;
  int ended;
} echoes[MOST];
static struct pollfd fds[MOST];
static int open_;
static unsigned char bytes[CHUNK];

// Takes and gives what can be taken and given; 0 when the connection is over, -1 when a byte is wrong.
static int go_on(struct echo *e, struct pollfd *p) {
  while (!e->ended && e->in - e->out < CHUNK) {
    size_t room = e->in < HEAD ? HEAD - e->in : sizeof bytes;
    ssize_t n = recv(p->fd, bytes, room, MSG_DONTWAIT);
    if (n < 0 && is_early()) break;
    if (n < 0) return 0;
    if (n == 0) e->ended = 1;
    for (uint64_t i = 0; e->in + i < HEAD && (ssize_t)i < n; i++) e->seed |= (uint64_t)bytes[i] << (8 * (e->in + i));
    if (e->in >= HEAD && n > 0 && same(bytes, (size_t)n, e->seed, e->in) != (size_t)n) return wrong(e->in), -1;
    e->in += (uint64_t)n;
  }
  // Its number is not known before all of it has come.
  while (e->out < e->in && e->in >= HEAD) {
    size_t len = e->in - e->out < sizeof bytes ? e->in - e->out : sizeof bytes;
    fill(bytes, len, e->seed, e->out);
    ssize_t n = send(p->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && is_early()) break;
    if (n < 0) return 0;
    e->out += (uint64_t)n;
  }
  int left = e->in > e->out;
  if (e->ended && (!left || e->in < HEAD)) return 0;
  p->events = (short)((e->ended || e->in - e->out >= CHUNK ? 0 : POLLIN) | (left && e->in >= HEAD ? POLLOUT : 0));
  return 1;
}

// serve PORT: echoes until it is told that its network is gone.
static int serve(char **words) {
  alarm(0);
  struct sockaddr_in a = at("0.0.0.0", words[0]);
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (listener < 0 || bind(listener, (void *)&a, sizeof a) || listen(listener, 1000)) return failed("listen", 0);
  fds[open_++] = (struct pollfd){.fd = listener, .events = POLLIN};
  say("up");
  for (;;) {
    fds[0].events = open_ < MOST ? POLLIN : 0;
    if (poll(fds, (nfds_t)open_, -1) < 0 && errno != EINTR) return failed("poll", 0);
    for (int i = open_ - 1; i > 0; i--) {
      if (!fds[i].revents) continue;
      int goes = go_on(&echoes[i], &fds[i]);
      if (goes < 0) return 3;
      if (goes) continue;
      close(fds[i].fd);
      fds[i] = fds[--open_], echoes[i] = echoes[open_];
    }
    while (fds[0].revents && open_ < MOST) {
      int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
      // A connection that was reset, and a shortage, are not the listener's end.
      if (fd < 0 && (errno == ENETDOWN || errno == EBADF || errno == EINVAL)) return failed("accept", 0);
      if (fd < 0) break;
      fds[open_] = (struct pollfd){.fd = fd, .events = POLLIN};
      echoes[open_++] = (struct echo){0};
    }
  }
}

// echo PORT: the same for datagrams.
static int echo(char **words) {
  alarm(0);
  struct sockaddr_in a = at("0.0.0.0", words[0]), from;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  if (fd < 0 || bind(fd, (void *)&a, sizeof a)) return failed("bind", 0);
  say("up");
  for (;;) {
    socklen_t len = sizeof from;
    ssize_t n = recvfrom(fd, bytes, sizeof bytes, 0, (void *)&from, &len);
    if (n < 0 && (errno == EINTR || errno == ECONNREFUSED)) continue;
    if (n < 0) return failed("recvfrom", 0);
    uint64_t seed;
    if (n < HEAD) return wrong(0);
    memcpy(&seed, bytes, HEAD);
    if (same(bytes, (size_t)n, seed, 0) != (size_t)n) return wrong(seed);
    // What cannot be sent is lost, as datagrams may be.
    (void)!sendto(fd, bytes, (size_t)n, 0, (void *)&from, len);
  }
}

// ---- who asks ----

static int dial(char **words) {
  struct sockaddr_in a = at(words[0], words[1]);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, (void *)&a, sizeof a)) return -1;
  return fd;
}

// How much has come back, said at every SIGUSR1.
static volatile uint64_t moved;

static void say_moved(int signal) {
  char line[40];
  (void)signal;
  int len = snprintf(line, sizeof line, "moved %ju\n", (uintmax_t)moved);
  (void)!write(STDOUT_FILENO, line, (size_t)len);
}

// Sends up to `length` bytes and checks what comes back, to the end.
static int transfer(int fd, uint64_t length, uint64_t seed, uint64_t sent, uint64_t got) {
  static unsigned char out[CHUNK], in[CHUNK];
  int is_shut = 0;
  for (;;) {
    if (sent == length && !is_shut) is_shut = 1, shutdown(fd, SHUT_WR);
    struct pollfd p = {.fd = fd, .events = (short)(POLLIN | (sent < length ? POLLOUT : 0))};
    if (poll(&p, 1, -1) < 0) {
      if (errno != EINTR) return failed("poll", got);
      continue;
    }
    if (p.revents & ~POLLOUT) {
      ssize_t n = recv(fd, in, sizeof in, MSG_DONTWAIT);
      if (n < 0 && !is_early()) return failed("recv", got);
      if (n == 0 && got == length) return printf("done %ju\n", (uintmax_t)got), 0;
      if (n == 0) return printf("error recv END at %ju\n", (uintmax_t)got), 2;
      if (n > 0) {
        size_t right = same(in, (size_t)n, seed, got);
        if (right != (size_t)n) return wrong(got + right);
        moved = got += (uint64_t)n;
      }
    }
    if (p.revents & POLLOUT && sent < length) {
      size_t len = length - sent < sizeof out ? length - sent : sizeof out;
      fill(out, len, seed, sent);
      ssize_t n = send(fd, out, len, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0 && !is_early()) return failed("send", sent);
      if (n > 0) sent += (uint64_t)n;
    }
  }
}

// send IP PORT LENGTH SEED
static int sends(char **words) {
  int fd = dial(words);
  if (fd < 0) return failed("connect", 0);
  say("up");
  return transfer(fd, strtoull(words[2], NULL, 10), strtoull(words[3], NULL, 10), 0, 0);
}

// stall IP PORT SEED: sends until nobody takes more, and reads nothing; a line of input makes it read all.
static int stall(char **words) {
  int fd = dial(words);
  if (fd < 0) return failed("connect", 0);
  uint64_t sent = 0, seed = strtoull(words[2], NULL, 10);
  for (struct pollfd p = {.fd = fd, .events = POLLOUT}; poll(&p, 1, 300) == 1;) {
    if (p.revents & (POLLERR | POLLHUP)) break;
    fill(bytes, sizeof bytes, seed, sent);
    ssize_t n = send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && !is_early()) return failed("send", sent);
    if (n > 0) sent += (uint64_t)n;
  }
  say("full");
  getchar();
  return transfer(fd, sent, seed, sent, 0);
}

static int64_t micros(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

// ping IP PORT COUNT SEED: messages that go and come back one at a time, and the longest that one, or connecting, took.
static int ping(char **words) {
  int64_t before = micros();
  int fd = dial(words), count = atoi(words[2]);
  if (fd < 0) return failed("connect", 0);
  say("up");
  uint64_t seed = strtoull(words[3], NULL, 10), worst = (uint64_t)(micros() - before);
  for (int i = 0; i < count; i++) {
    uint64_t from = (uint64_t)i * MESSAGE, got = 0;
    int64_t begun = micros();
    fill(bytes, MESSAGE, seed, from);
    if (send(fd, bytes, MESSAGE, MSG_NOSIGNAL) != MESSAGE) return failed("send", from);
    while (got < MESSAGE) {
      ssize_t n = recv(fd, bytes, MESSAGE - got, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return failed("recv", from);
      if (n == 0) return printf("error recv END at %ju\n", (uintmax_t)from), 2;
      if (same(bytes, (size_t)n, seed, from + got) != (size_t)n) return wrong(from + got);
      got += (uint64_t)n;
    }
    uint64_t took = (uint64_t)(micros() - begun);
    if (took > worst) worst = took;
  }
  printf("done %d %ju\n", count, (uintmax_t)worst);
  return 0;
}

// datagrams IP PORT COUNT SEED: each until it comes back, as they may be lost.
static int datagrams(char **words) {
  struct sockaddr_in a = at(words[0], words[1]);
  int fd = socket(AF_INET, SOCK_DGRAM, 0), count = atoi(words[2]);
  if (fd < 0 || connect(fd, (void *)&a, sizeof a)) return failed("connect", 0);
  say("up");
  for (int i = 0; i < count;) {
    uint64_t seed = strtoull(words[3], NULL, 10) + (uint64_t)i;
    size_t len = HEAD + (size_t)(i * 37 % 1300);
    fill(bytes, len, seed, 0);
    int lost = send(fd, bytes, len, MSG_NOSIGNAL) < 0;
    if (lost && errno != ECONNREFUSED && errno != ENOBUFS) return failed("send", (uint64_t)i);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, 200) == 1) {
      ssize_t n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
      if (n < 0 && (is_early() || errno == ECONNREFUSED)) break;
      if (n < 0) return failed("recv", (uint64_t)i);
      uint64_t came;
      if (n < HEAD) return wrong((uint64_t)i);
      memcpy(&came, bytes, HEAD);
      if (same(bytes, (size_t)n, came, 0) != (size_t)n) return wrong((uint64_t)i);
      // One that was sent twice comes twice.
      if (came == seed) {
        i++;
        break;
      }
    }
  }
  printf("done %d\n", count);
  return 0;
}

// crowd IP PORT COUNT LENGTH: that many programs at once.
static int crowd(char **words) {
  int count = atoi(words[2]), good = 0, status, null = open("/dev/null", O_WRONLY);
  for (int i = 0; i < count; i++) {
    pid_t child = fork();
    if (child < 0) return failed("fork", (uint64_t)i);
    if (child) continue;
    alarm(LIFE);
    int fd = dial(words);
    if (fd < 0) _exit(failed("connect", (uint64_t)i));
    dup2(null, STDOUT_FILENO);
    _exit(transfer(fd, strtoull(words[3], NULL, 10), (uint64_t)i * 977, 0, 0));
  }
  while (wait(&status) > 0) good += WIFEXITED(status) && WEXITSTATUS(status) == 0;
  printf("done %d\n", good);
  return 0;
}

// open IP PORT LENGTH SEED: opens sockets until it may not, and is well with fewer.
static int opens(char **words) {
  static int opened[1 << 16];
  int count = 0, fd;
  while (count < 1 << 16 && (fd = socket(AF_INET, count % 2 ? SOCK_DGRAM : SOCK_STREAM, 0)) >= 0) opened[count++] = fd;
  int why = errno;
  for (int i = 0; i < count; i++) close(opened[i]);
  if (why != EMFILE) return errno = why, failed("socket", (uint64_t)count);
  return sends(words);
}

// ---- who waits ----

static int waits(int type, char **words) {
  struct sockaddr_in a = at("0.0.0.0", words[0]);
  int fd = socket(AF_INET, type, 0);
  if (fd < 0 || bind(fd, (void *)&a, sizeof a) || (type == SOCK_STREAM && listen(fd, 5))) return failed("bind", 0);
  say("up");
  struct pollfd p = {.fd = fd, .events = POLLIN};
  if (words[1] && poll(&p, 1, -1) < 0) return failed("poll", 0);
  if ((type == SOCK_STREAM ? accept(fd, NULL, NULL) : (int)recv(fd, bytes, 1, 0)) < 0) return failed("wait", 0);
  return say("something came"), 0;
}

// accept PORT [poll], recv PORT [poll]: waits for what does not come.
static int accepts(char **words) { return waits(SOCK_STREAM, words); }
static int receives(char **words) { return waits(SOCK_DGRAM, words); }

// resolve NAME: asks what addresses it has, and says that it was answered.
static int resolve(char **words) {
  struct addrinfo *found = NULL;
  say("up");
  int error = getaddrinfo(words[0], NULL, NULL, &found);
  printf("done %s\n", error ? gai_strerror(error) : "found");
  if (found) freeaddrinfo(found);
  return 0;
}

static const struct command {
  const char *name;
  int words;
  int (*run)(char **words);
} commands[] = {
    {"serve", 1, serve}, {"echo", 1, echo}, {"send", 4, sends}, {"stall", 3, stall}, {"ping", 4, ping},
    {"datagrams", 4, datagrams}, {"crowd", 4, crowd}, {"open", 4, opens}, {"resolve", 1, resolve},
    {"accept", 1, accepts}, {"recv", 1, receives},
};

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  signal(SIGUSR1, say_moved);
  alarm(LIFE);
  // What whoever runs the test has open is not ours.
  closefrom(3);
  for (size_t i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
    if (!strcmp(argv[1], commands[i].name) && argc >= 2 + commands[i].words) return commands[i].run(argv + 2);
  fprintf(stderr, "no such command\n");
  return 1;
}
