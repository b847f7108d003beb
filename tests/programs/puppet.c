// Does what it is told: one command a line on standard input, one answer a line on standard output. An answer is what
// the call returned, or -1 and the name of errno. The commands are the table at the end.
#include "peer.h"

#include "crowd.h"
#include "stream.h"
#include <netinet/ip.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <linux/sockios.h>

#define WORDS 40
static char *word[WORDS];
static int words;
static char text[1 << 16];

// The command's words after the first, as numbers.
static int number(int i) { return i < words ? atoi(word[i]) : 0; }
static uint64_t bytes(int i) { return i < words ? strtoull(word[i], NULL, 10) : 0; }

struct name {
  const char *name;
  int value, level;
};

static const struct name *named(const struct name *table, const char *wanted) {
  for (; table->name; table++)
    if (!strcmp(table->name, wanted)) return table;
  fprintf(stderr, "no such name: %s\n", wanted);
  exit(1);
}

static const struct name message_flags[] = {
    {"oob", MSG_OOB, 0},         {"peek", MSG_PEEK, 0},   {"dontwait", MSG_DONTWAIT, 0},
    {"waitall", MSG_WAITALL, 0}, {"trunc", MSG_TRUNC, 0}, {"nosignal", MSG_NOSIGNAL, 0},
    {"more", MSG_MORE, 0},       {"fastopen", MSG_FASTOPEN, 0}, {NULL, 0, 0},
};

static const struct name options[] = {
    {"error", SO_ERROR, SOL_SOCKET},         {"reuseaddr", SO_REUSEADDR, SOL_SOCKET},
    {"rcvbuf", SO_RCVBUF, SOL_SOCKET},       {"sndbuf", SO_SNDBUF, SOL_SOCKET},
    {"broadcast", SO_BROADCAST, SOL_SOCKET}, {"oobinline", SO_OOBINLINE, SOL_SOCKET},
    {"keepalive", SO_KEEPALIVE, SOL_SOCKET}, {"nodelay", TCP_NODELAY, IPPROTO_TCP},
    {"maxseg", TCP_MAXSEG, IPPROTO_TCP},     {"cork", TCP_CORK, IPPROTO_TCP},
    {"mtu", IP_MTU, IPPROTO_IP},             {"ttl", IP_TTL, IPPROTO_IP},
    {"keepidle", TCP_KEEPIDLE, IPPROTO_TCP}, {"keepintvl", TCP_KEEPINTVL, IPPROTO_TCP},
    {"keepcnt", TCP_KEEPCNT, IPPROTO_TCP},   {"usertimeout", TCP_USER_TIMEOUT, IPPROTO_TCP},
    {"fastopen", TCP_FASTOPEN, IPPROTO_TCP}, {NULL, 0, 0},
};

static const struct name events[] = {
    {"in", POLLIN, 0},   {"out", POLLOUT, 0}, {"pri", POLLPRI, 0},   {"err", POLLERR, 0},
    {"hup", POLLHUP, 0}, {"rdhup", POLLRDHUP, 0}, {"nval", POLLNVAL, 0}, {NULL, 0, 0},
};

static const struct name ends[] = {{"rd", SHUT_RD, 0}, {"wr", SHUT_WR, 0}, {"rdwr", SHUT_RDWR, 0}, {NULL, 0, 0}};

static int flags_from(int i) {
  int flags = 0;
  for (; i < words; i++) flags |= named(message_flags, word[i])->value;
  return flags;
}

static int bits_of(char *list) {
  int bits = 0;
  for (char *rest = NULL, *one = strtok_r(list, "|", &rest); one; one = strtok_r(NULL, "|", &rest))
    bits |= named(events, one)->value;
  return bits;
}

static void print_bits(int fd, unsigned bits, int is_first) {
  printf("%s%d:", is_first ? "" : " ", fd);
  const char *bar = "";
  for (const struct name *e = events; e->name; e++)
    if (bits & (unsigned)e->value) printf("%s%s", bar, e->name), bar = "|";
}

static void answer_address(int ret, struct sockaddr_in a) {
  if (ret) answer_result(-1);
  else ANSWER("%s:%u", inet_ntoa(a.sin_addr), ntohs(a.sin_port));
}

// ---- stacks ----

static void *stacks[8];
static int stacked;

static void answer_error(void) {
  const char *why = sockeye_last_error();
  ANSWER("-1 %s: %s", strerrorname_np(errno), why ? why : "");
}

static void do_stack(void) {
  stacks[stacked] = sockeye_stack_new(word[1]);
  if (stacks[stacked]) ANSWER("%d", stacked++);
  else answer_error();
}

static void do_unstack(void) {
  sockeye_stack_free(stacks[number(1)]);
  ANSWER("0");
}

// socket tcp|udp [STACK]
static void do_socket(void) {
  int type = strcmp(word[1], "udp") ? SOCK_STREAM : SOCK_DGRAM;
  answer_result(words > 2 ? sockeye_msocket(stacks[number(2)], AF_INET, type, 0) : sockeye_socket(AF_INET, type, 0));
}

// first: opens the first socket, whose failure has a text.
static void do_first(void) {
  int fd = sockeye_socket(AF_INET, SOCK_STREAM, 0);
  if (fd == -1) answer_error();
  else ANSWER("%d", fd);
}

// ---- names ----

static void do_bind(void) {
  struct sockaddr_in a = address(word[2], word[3]);
  answer_result(sockeye_bind(number(1), (struct sockaddr *)&a, sizeof a));
}

static void do_connect(void) {
  struct sockaddr_in a = address(word[2], word[3]);
  answer_result(sockeye_connect(number(1), (struct sockaddr *)&a, sizeof a));
}

static void do_listen(void) { answer_result(sockeye_listen(number(1), number(2))); }

static void do_accept(void) { answer_result(sockeye_accept(number(1), NULL, NULL)); }

static void do_name(void) {
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  int ret = sockeye_getsockname(number(1), (struct sockaddr *)&a, &len);
  answer_address(ret, a);
}

static void do_peer(void) {
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  int ret = sockeye_getpeername(number(1), (struct sockaddr *)&a, &len);
  answer_address(ret, a);
}

// ---- data ----

static void do_send(void) { answer_result(sockeye_send(number(1), word[2], strlen(word[2]), flags_from(3))); }

// recv FD MAX [FLAG...]: the length and the bytes
static void do_recv(void) {
  ssize_t got = sockeye_recv(number(1), text, bytes(2), flags_from(3));
  if (got == -1) answer_result(-1);
  else if (got == 0) ANSWER("0");
  else ANSWER("%zd %.*s", got, (int)got, text);
}

// sendn FD BYTES: that much of the stream. The number sent and its hash.
static void do_sendn(void) {
  char said[STREAM_SAID];
  stream_send(number(1), bytes(2), said);
  ANSWER("%s", said);
}

// recvn FD BYTES: until so many have come, or the end. The number received and its hash.
static void do_recvn(void) {
  char said[STREAM_SAID];
  stream_receive(number(1), bytes(2), said);
  ANSWER("%s", said);
}

// fill FD: sends until there is no more room. How much that was.
static void do_fill(void) {
  static unsigned char buf[1 << 16];
  uint64_t sent = 0;
  for (;;) {
    stream_fill(buf, sizeof buf, 0);
    ssize_t n = sockeye_send(number(1), buf, sizeof buf, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n == -1 && errno == EAGAIN) break;
    if (n == -1) {
      answer_result(-1);
      return;
    }
    sent += (uint64_t)n;
  }
  ANSWER("%ju", (uintmax_t)sent);
}

// sendto FD IP PORT BYTES [FLAG...]: one datagram of that much of the stream
static void do_sendto(void) {
  struct sockaddr_in a = address(word[2], word[3]);
  stream_fill(text, sizeof text, 0);
  answer_result(sockeye_sendto(number(1), text, bytes(4), flags_from(5), (struct sockaddr *)&a, sizeof a));
}

// recvfrom FD: a datagram's length, whether its bytes are the stream's, and its sender
static void do_recvfrom(void) {
  static char want[sizeof text];
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  ssize_t got = sockeye_recvfrom(number(1), text, sizeof text, 0, (struct sockaddr *)&a, &len);
  stream_fill(want, sizeof want, 0);
  if (got == -1) answer_result(-1);
  else
    ANSWER("%zd %s from %s:%u", got, memcmp(text, want, (size_t)got) ? "wrong" : "right", inet_ntoa(a.sin_addr),
           ntohs(a.sin_port));
}

static void do_shutdown(void) { answer_result(sockeye_shutdown(number(1), named(ends, word[2])->value)); }

static void do_close(void) { answer_result(sockeye_close(number(1))); }

// ---- options ----

static void do_set(void) {
  const struct name *o = named(options, word[2]);
  int value = number(3);
  answer_result(sockeye_setsockopt(number(1), o->level, o->value, &value, sizeof value));
}

static void do_get(void) {
  const struct name *o = named(options, word[2]);
  int value = 0;
  socklen_t len = sizeof value;
  if (sockeye_getsockopt(number(1), o->level, o->value, &value, &len)) answer_result(-1);
  else if (o->value == SO_ERROR && o->level == SOL_SOCKET && value) ANSWER("%s", strerrorname_np(value));
  else ANSWER("%d", value);
}

static void do_linger(void) {
  struct linger l = {.l_onoff = 1, .l_linger = number(2)};
  answer_result(sockeye_setsockopt(number(1), SOL_SOCKET, SO_LINGER, &l, sizeof l));
}

static void do_nonblock(void) { answer_result(sockeye_fcntl(number(1), F_SETFL, O_NONBLOCK)); }

static void answer_ioctl(unsigned long request) {
  int value = 0;
  if (sockeye_ioctl(number(1), request, &value)) answer_result(-1);
  else ANSWER("%d", value);
}

static void do_atmark(void) { answer_ioctl(SIOCATMARK); }
static void do_queued(void) { answer_ioctl(FIONREAD); }
static void do_unsent(void) { answer_ioctl(SIOCOUTQ); }

// ---- waiting ----

// poll MS FD:EVENTS...: the descriptors with something to say
static void do_poll(void) {
  struct pollfd list[WORDS];
  int n = 0, said = 0;
  for (int i = 2; i < words; i++) {
    char *list_of_events = strchr(word[i], ':');
    *list_of_events++ = 0;
    list[n++] = (struct pollfd){.fd = atoi(word[i]), .events = (short)bits_of(list_of_events)};
  }
  if (sockeye_poll(list, (nfds_t)n, number(1)) == -1) {
    answer_result(-1);
    return;
  }
  for (int i = 0; i < n; i++)
    if (list[i].revents) print_bits(list[i].fd, (unsigned)list[i].revents, !said++);
  ANSWER("%s", said ? "" : "nothing");
}

static void do_epoll(void) { answer_result(sockeye_epoll_create1(0)); }

// watch EPOLL FD EVENTS
static void do_watch(void) {
  struct epoll_event ev = {.events = (uint32_t)bits_of(word[3]), .data.fd = number(2)};
  answer_result(sockeye_epoll_ctl(number(1), EPOLL_CTL_ADD, number(2), &ev));
}

static int by_descriptor(const void *a, const void *b) {
  return ((const struct epoll_event *)a)->data.fd - ((const struct epoll_event *)b)->data.fd;
}

// wait EPOLL MS: the descriptors with something to say, in their order
static void do_wait(void) {
  struct epoll_event list[WORDS];
  int n = sockeye_epoll_wait(number(1), list, WORDS, number(2));
  if (n == -1) {
    answer_result(-1);
    return;
  }
  qsort(list, (size_t)n, sizeof *list, by_descriptor);
  for (int i = 0; i < n; i++) print_bits(list[i].data.fd, list[i].events, i == 0);
  ANSWER("%s", n ? "" : "nothing");
}

// ---- the process ----

static void do_pipe(void) {
  int p[2];
  if (pipe(p)) answer_result(-1);
  else ANSWER("%d %d", p[0], p[1]);
}

static void do_write(void) { answer_result(write(number(1), word[2], strlen(word[2]))); }

// fds: how many descriptors are open
static void do_fds(void) {
  int open = 0;
  for (int fd = 0; fd < 65536; fd++) open += fcntl(fd, F_GETFD) != -1;
  ANSWER("%d", open);
}

// lowest: the number the next descriptor would get
static void do_lowest(void) {
  int fd = dup(STDIN_FILENO);
  if (fd != -1) close(fd);
  answer_result(fd);
}

static void do_nofile(void) {
  struct rlimit r;
  getrlimit(RLIMIT_NOFILE, &r);
  r.rlim_cur = words > 1 ? (rlim_t)number(1) : r.rlim_max;
  answer_result(setrlimit(RLIMIT_NOFILE, &r));
}

// fork FD: what calls on FD, and a new socket, give in a child
static void do_fork(void) {
  int p[2], status;
  if (pipe(p)) abort();
  pid_t child = fork();
  if (child == 0) {
    char line[256];
    const char *sent = sockeye_send(number(1), "child", 5, MSG_NOSIGNAL) == -1 ? strerrorname_np(errno) : "sent";
    const char *got = sockeye_recv(number(1), line, 1, MSG_DONTWAIT) == -1 ? strerrorname_np(errno) : "received";
    const char *made = sockeye_socket(AF_INET, SOCK_STREAM, 0) == -1 ? strerrorname_np(errno) : "made";
    int closed = sockeye_close(number(1));
    int len = snprintf(line, sizeof line, "send %s, recv %s, socket %s, close %d", sent, got, made, closed);
    _exit(write(p[1], line, (size_t)len) != len);
  }
  waitpid(child, &status, 0);
  close(p[1]);
  ssize_t got = read(p[0], text, 256);
  close(p[0]);
  if (!WIFEXITED(status) || WEXITSTATUS(status)) ANSWER("the child ended with status %d", status);
  else ANSWER("%.*s", (int)got, text);
}

// spawn: starts another program, which lives until it is ended. Its pid.
static void do_spawn(void) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    execlp("sleep", "sleep", "120", (char *)NULL);
    _exit(127);
  }
  answer_result(child);
}

static void do_exit(void) {
  ANSWER("bye");
  exit(number(1));
}

// ---- crowds ----

static void do_dial(void) { crowd_dial(number(1), address(word[2], word[3])); }
static void do_take(void) { crowd_take(number(1), number(2)); }
static void do_echo(void) { crowd_echo(number(1)); }
static void do_hangup(void) { crowd_hang_up(); }
static void do_churn(void) { crowd_churn(number(1), address(word[2], word[3])); }
static void do_serve(void) { crowd_serve(number(1), number(2)); }
static void do_loop(void) { crowd_loop(number(1)); }
static void do_threads(void) { crowd_threads(number(1), number(2), address(word[3], word[4])); }

static void do_duplex(void) { crowd_duplex(number(1), bytes(2)); }

static const struct command {
  const char *name;
  int words;
  void (*run)(void);
} commands[] = {
    {"stack", 2, do_stack},       {"unstack", 2, do_unstack},   {"socket", 2, do_socket}, {"first", 1, do_first},
    {"bind", 4, do_bind},         {"connect", 4, do_connect},   {"listen", 3, do_listen}, {"accept", 2, do_accept},
    {"name", 2, do_name},         {"peer", 2, do_peer},         {"send", 3, do_send},     {"recv", 3, do_recv},
    {"sendn", 3, do_sendn},       {"recvn", 3, do_recvn},       {"fill", 2, do_fill},     {"sendto", 5, do_sendto},
    {"recvfrom", 2, do_recvfrom}, {"shutdown", 3, do_shutdown}, {"close", 2, do_close},   {"set", 4, do_set},
    {"get", 3, do_get},           {"linger", 3, do_linger},     {"nonblock", 2, do_nonblock},
    {"atmark", 2, do_atmark},     {"queued", 2, do_queued},     {"unsent", 2, do_unsent}, {"poll", 3, do_poll},
    {"epoll", 1, do_epoll},       {"watch", 4, do_watch},       {"wait", 3, do_wait},     {"pipe", 1, do_pipe},
    {"write", 3, do_write},       {"fds", 1, do_fds},           {"lowest", 1, do_lowest}, {"nofile", 1, do_nofile},
    {"fork", 2, do_fork},
    {"spawn", 1, do_spawn},       {"exit", 1, do_exit},         {"dial", 4, do_dial},     {"take", 3, do_take},
    {"echo", 2, do_echo},         {"hangup", 1, do_hangup},     {"churn", 4, do_churn},   {"serve", 3, do_serve},
    {"loop", 2, do_loop},         {"threads", 5, do_threads}, {"duplex", 3, do_duplex},
};

// One line, byte by byte: what follows it stays in the pipe, where poll sees it.
static int next_line(char *line, size_t room) {
  for (size_t len = 0; len < room; len++) {
    if (read(STDIN_FILENO, line + len, 1) != 1) return 0;
    if (line[len] == '\n') return line[len] = 0, 1;
  }
  return 0;
}

static void obey(char *line) {
  words = 0;
  for (char *rest = NULL, *one = strtok_r(line, " ", &rest); one && words < WORDS; one = strtok_r(NULL, " ", &rest))
    word[words++] = one;
  if (!words) return;
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
    if (!strcmp(commands[i].name, word[0]) && words >= commands[i].words) {
      commands[i].run();
      return;
    }
  fprintf(stderr, "no such command: %s with %d words\n", word[0], words);
  exit(1);
}

int main(void) {
  static char line[1 << 16];
  // What was inherited from whoever runs the tests is not ours to count.
  close_range(3, ~0U, 0);
  while (next_line(line, sizeof line)) obey(line);
  return 0;
}
