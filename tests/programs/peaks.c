// A program that makes a stack hold much, by connections to itself: what is kept of it afterwards, and what happens
// where there is no memory for it.
//
//   peaks peak COUNT PID    fills COUNT connections, empties and closes them, then calls nothing; prints KiB
//   peaks limit COUNT PID   opens and fills connections until one is refused, COUNT at most; prints what came of it
//
// Memory is that of process PID; of its own if it is 0.
#include "../../c-tests/api.h"

enum { BLOCK = 65536, QUIET_S = 8, PATIENCE_MS = 2000 };

static char block[BLOCK];
static int door, *clients, *servers, opened;
static struct sockaddr_in here = {.sin_family = AF_INET};

static void fail(const char *what) {
  printf("%s: %s\n", what, strerror(errno));
  exit(1);
}

// KiB that are there.
static long memory(int pid) {
  char path[64], line[256];
  snprintf(path, sizeof path, pid ? "/proc/%d/status" : "/proc/self/status", pid);
  FILE *file = fopen(path, "r");
  if (!file) fail(path);
  long size = 0;
  while (fgets(line, sizeof line, file))
    if (sscanf(line, "VmRSS: %ld", &size) == 1) break;
  fclose(file);
  return size;
}

static void begin(int count) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  clients = calloc((size_t)count, sizeof *clients);
  servers = calloc((size_t)count, sizeof *servers);
  if (!clients || !servers) fail("calloc");
  door = socket(AF_INET, SOCK_STREAM, 0);
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t len = sizeof here;
  if (door < 0 || bind(door, (struct sockaddr *)&here, len) || listen(door, 16)) fail("listen");
  if (getsockname(door, (struct sockaddr *)&here, &len)) fail("getsockname");
}

// Opens one more connection. 0, or why it was refused.
static int more(void) {
  int client = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (client < 0) return errno;
  struct pollfd made = {client, POLLOUT, 0}, came = {door, POLLIN, 0};
  int error = 0;
  socklen_t len = sizeof error;
  if (connect(client, (struct sockaddr *)&here, sizeof here) && errno != EINPROGRESS) error = errno;
  else if (poll(&made, 1, PATIENCE_MS) != 1) error = ETIMEDOUT;
  else getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &len);
  if (!error && poll(&came, 1, PATIENCE_MS) != 1) error = ETIMEDOUT;
  int server = error ? -1 : accept(door, NULL, NULL);
  if (!error && server < 0) error = errno;
  if (error) {
    close(client);
    return error;
  }
  clients[opened] = client;
  servers[opened++] = server;
  return 0;
}

// Sends as much as there is room for, `blocks` at most.
static long fill(int client, int blocks) {
  long all = 0;
  for (ssize_t n; blocks-- > 0 && (n = send(client, block, BLOCK, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0;) all += n;
  return all;
}

// Takes what came to a connection, whose sender has ended.
static long empty(int server) {
  long all = 0;
  for (ssize_t n; (n = recv(server, block, BLOCK, 0)) > 0;) all += n;
  return all;
}

static void peak(int count, int pid) {
  long before = memory(pid), sent = 0, got = 0;
  while (opened < count) {
    int error = more();
    if (error) {
      errno = error;
      fail("a connection");
    }
    sent += fill(clients[opened - 1], INT_MAX);
  }
  long full = memory(pid);
  for (int i = 0; i < count; i++) shutdown(clients[i], SHUT_WR);
  for (int i = 0; i < count; i++) got += empty(servers[i]);
  // The first stays, and does nothing.
  for (int i = 1; i < count; i++) {
    close(clients[i]);
    close(servers[i]);
  }
  struct timespec quiet = {QUIET_S, 0};
  nanosleep(&quiet, NULL);
  printf("before %ld full %ld after %ld lost %ld\n", before, full, memory(pid), sent - got);
}

static void limit(int count, int pid) {
  int error = 0;
  while (opened < count && !error)
    if (!(error = more())) fill(clients[opened - 1], 1);
  if (!opened) fail("no connection at all");
  // Those that are there go on.
  int last = opened - 1;
  shutdown(clients[last], SHUT_WR);
  empty(servers[last]);
  struct pollfd heard = {clients[last], POLLIN, 0};
  long echoed = send(servers[last], "x", 1, 0) == 1 && poll(&heard, 1, PATIENCE_MS) == 1 && recv(clients[last], block, 1, 0) == 1;
  printf("opened %d error %s echoed %ld full %ld\n", opened, error ? strerrorname_np(error) : "0", echoed, memory(pid));
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int count = atoi(argv[2]), pid = atoi(argv[3]);
  begin(count);
  if (strcmp(argv[1], "peak") == 0) peak(count, pid);
  else limit(count, pid);
  return 0;
}
