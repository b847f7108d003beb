// Mixed clients of a plain accept-and-recv server: some block and some do not, some close at once, some reset, some are
// refused. All ends are counted: each connection ends on both sides, and what was closed in order has come.
//
//   mixed COUNT ADDRESS
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SERVERS = 4, CLIENTS = 4, KINDS = 7, PATIENCE_MS = 60000 };

static int listener;
static struct sockaddr_in here, nobody;
static long per_client;
static atomic_long words_sent, words_came, refused, connects_failed, sends_failed, waits_failed, not_ended;

static int new_socket(int flags) {
  int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
  if (fd < 0) {
    perror("socket");
    exit(1);
  }
  return fd;
}

static void complain(const char *what, int error, atomic_long *count) {
  fprintf(stderr, "%s: %s\n", what, strerror(error));
  ++*count;
}

static int is_ready(int fd, short events) {
  struct pollfd one = {fd, events, 0};
  return poll(&one, 1, PATIENCE_MS) == 1;
}

// Takes what comes until the end or a reset. A word that says so ends the server.
static void *serve(void *unused) {
  for (int is_over = 0; !is_over;) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) {
      complain("accept", errno, &waits_failed);
      continue;
    }
    char bytes[16];
    ssize_t n;
    do {
      if (!is_ready(fd, POLLIN)) {
        complain("a connection does not end at the server", 0, &not_ended);
        break;
      }
      n = recv(fd, bytes, sizeof bytes, 0);
      for (ssize_t i = 0; i < n; i++) {
        words_came += bytes[i] == 'w';
        is_over |= bytes[i] == 'o';
      }
    } while (n > 0);
    close(fd);
  }
  return unused;
}

static int reach(int fd) {
  return connect(fd, (struct sockaddr *)&here, sizeof here);
}

static void say(int fd, char what) {
  if (send(fd, &what, 1, MSG_NOSIGNAL) != 1)
    complain("send", errno, &sends_failed);
  else
    words_sent += what == 'w';
}

static void close_by_reset(int fd) {
  struct linger now = {1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(fd);
}

static void reach_and(char what, int is_reset) {
  int fd = new_socket(0);
  if (reach(fd) < 0)
    complain("connect", errno, &connects_failed);
  else if (what)
    say(fd, what);
  if (is_reset)
    close_by_reset(fd);
  else
    close(fd);
}

// Waits until the server has seen the end, too.
static void converse(void) {
  int fd = new_socket(0);
  if (reach(fd) < 0) {
    complain("connect", errno, &connects_failed);
  } else {
    char byte;
    say(fd, 'w');
    shutdown(fd, SHUT_WR);
    if (!is_ready(fd, POLLIN))
      complain("a connection does not end at the client", 0, &not_ended);
    else if (recv(fd, &byte, 1, 0) != 0)
      complain("an end that is none", errno, &waits_failed);
  }
  close(fd);
}

static void reach_without_blocking(int to_say) {
  int fd = new_socket(SOCK_NONBLOCK), error = 0;
  socklen_t len = sizeof error;
  if (reach(fd) < 0 && errno != EINPROGRESS)
    complain("connect, not blocking", errno, &connects_failed);
  else if (to_say && !is_ready(fd, POLLOUT))
    complain("connect, not blocking: no answer", 0, &not_ended);
  else if (to_say && (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error))
    complain("SO_ERROR", error, &connects_failed);
  else if (to_say)
    say(fd, 'w');
  close(fd);
}

// Nobody asks why.
static void be_refused(void) {
  int fd = new_socket(SOCK_NONBLOCK);
  struct pollfd one = {fd, POLLOUT, 0};
  connect(fd, (struct sockaddr *)&nobody, sizeof nobody);
  if (poll(&one, 1, PATIENCE_MS) == 1 && one.revents & POLLERR)
    ++refused;
  else
    complain("nobody is there, and no refusal", 0, &not_ended);
  close(fd);
}

static void *be_clients(void *first) {
  for (long i = 0; i < per_client; i++) {
    switch ((i + (long)first) % KINDS) {
    case 0: converse(); break;
    case 1: reach_without_blocking(1); break;
    case 2: reach_without_blocking(0); break;
    case 3: reach_and('r', 1); break;
    case 4: reach_and(0, 0); break;
    case 5: reach_and('w', 0); break;
    case 6: be_refused(); break;
    }
  }
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 3)
    return 2;
  per_client = atol(argv[1]) / CLIENTS;
  here.sin_family = AF_INET;
  inet_pton(AF_INET, argv[2], &here.sin_addr);
  nobody = here;
  nobody.sin_port = htons(9);
  listener = new_socket(0);
  socklen_t len = sizeof here;
  if (bind(listener, (struct sockaddr *)&here, len) < 0 || listen(listener, 40) < 0 ||
      getsockname(listener, (struct sockaddr *)&here, &len) < 0) {
    perror("a listener");
    return 1;
  }
  pthread_t servers[SERVERS], clients[CLIENTS];
  for (long i = 0; i < SERVERS; i++)
    pthread_create(&servers[i], NULL, serve, NULL);
  for (long i = 0; i < CLIENTS; i++)
    pthread_create(&clients[i], NULL, be_clients, (void *)i);
  for (int i = 0; i < CLIENTS; i++)
    pthread_join(clients[i], NULL);
  for (int waited = 0; words_came < words_sent && waited < PATIENCE_MS; waited += 10)
    usleep(10000);
  // A server that hangs on a connection does not come to this.
  for (int i = 0; i < SERVERS; i++)
    reach_and('o', 0);
  for (int i = 0; i < SERVERS; i++)
    pthread_join(servers[i], NULL);
  printf("words: %ld of %ld came\n", (long)words_came, (long)words_sent);
  printf("failed: %ld connects, %ld sends, %ld others\n", (long)connects_failed, (long)sends_failed, (long)waits_failed);
  printf("without an end: %ld\n", (long)not_ended);
  printf("refused: %ld\n", (long)refused);
  return 0;
}
