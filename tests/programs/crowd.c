// Many connections at once, and one after another. Every function answers once.
#include "peer.h"

#include "crowd.h"
#include "stream.h"
#include <pthread.h>
#include <sys/timerfd.h>

static int *crowd, crowded;

static void crowd_room(int count) {
  crowd = realloc(crowd, sizeof *crowd * (size_t)(crowded + count));
  if (!crowd) abort();
}

static int dialled(struct sockaddr_in to) {
  int fd = sockeye_socket(AF_INET, SOCK_STREAM, 0);
  if (fd == -1) return -1;
  if (sockeye_connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
  int error = errno;
  sockeye_close(fd);
  errno = error;
  return -1;
}

// Opens `count` connections and keeps them.
void crowd_dial(int count, struct sockaddr_in to) {
  crowd_room(count);
  for (int i = 0; i < count; i++) {
    int fd = dialled(to);
    if (fd == -1) {
      ANSWER("-1 %s after %d", strerrorname_np(errno), i);
      return;
    }
    crowd[crowded++] = fd;
  }
  ANSWER("%d", crowded);
}

// Accepts `count` connections and keeps them.
void crowd_take(int listener, int count) {
  crowd_room(count);
  for (int i = 0; i < count; i++) {
    int fd = sockeye_accept(listener, NULL, NULL);
    if (fd == -1) {
      ANSWER("-1 %s after %d", strerrorname_np(errno), i);
      return;
    }
    crowd[crowded++] = fd;
  }
  ANSWER("%d", crowded);
}

// One number there and back.
static int is_echoed(int fd, uint64_t number) {
  uint64_t back = ~number;
  if (sockeye_send(fd, &number, sizeof number, MSG_NOSIGNAL) != sizeof number) return 0;
  return sockeye_recv(fd, &back, sizeof back, MSG_WAITALL) == sizeof back && back == number;
}

// Sends a number over every `step`th connection; the peer sends it back. Answers on how many that went well.
void crowd_echo(int step) {
  int right = 0;
  for (int i = 0; i < crowded; i += step) right += is_echoed(crowd[i], (uint64_t)i);
  ANSWER("%d", right);
}

void crowd_hang_up(void) {
  int closed = 0;
  while (crowded) closed += sockeye_close(crowd[--crowded]) == 0;
  ANSWER("%d", closed);
}

// `count` times: connect, one number there and back, close.
void crowd_churn(int count, struct sockaddr_in to) {
  for (int i = 0; i < count; i++) {
    int fd = dialled(to);
    if (fd == -1 || !is_echoed(fd, (uint64_t)i) || sockeye_close(fd)) {
      ANSWER("-1 %s after %d", strerrorname_np(errno), i);
      return;
    }
  }
  ANSWER("%d", count);
}

// Accepts `count` connections one after another and sends back what comes on each until its end.
void crowd_serve(int listener, int count) {
  static char buf[1 << 16];
  for (int i = 0; i < count; i++) {
    int fd = sockeye_accept(listener, NULL, NULL);
    ssize_t got = -1;
    while (fd != -1 && (got = sockeye_recv(fd, buf, sizeof buf, 0)) > 0)
      if (sockeye_send(fd, buf, (size_t)got, MSG_NOSIGNAL) != got) break;
    if (got || sockeye_close(fd)) {
      ANSWER("-1 %s after %d", strerrorname_np(errno), i);
      return;
    }
  }
  ANSWER("%d", count);
}

static int watched(int ep, int fd) {
  struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
  return sockeye_epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static int ticker(void) {
  struct itimerspec every = {.it_interval.tv_nsec = 10000000, .it_value.tv_nsec = 10000000};
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  return fd == -1 || timerfd_settime(fd, 0, &every, NULL) ? -1 : fd;
}

// An echo server with one epoll set for the stack's descriptors and the kernel's (a timer and standard input); the next
// line on standard input ends it.
void crowd_loop(int listener) {
  static char buf[1 << 16];
  struct epoll_event ready[64];
  long ticks = 0, taken = 0, ended = 0, bytes = 0;
  int ep = sockeye_epoll_create1(0), timer = ticker(), stop = 0;
  if (ep == -1 || timer == -1 || watched(ep, listener) || watched(ep, timer) || watched(ep, STDIN_FILENO)) {
    answer_result(-1);
    return;
  }
  while (!stop) {
    int n = sockeye_epoll_wait(ep, ready, 64, -1);
    if (n == -1) break;
    for (int i = 0; i < n; i++) {
      int fd = ready[i].data.fd;
      if (fd == STDIN_FILENO) {
        stop = 1;
      } else if (fd == timer) {
        uint64_t expired = 0;
        ticks += read(timer, &expired, sizeof expired) == sizeof expired;
      } else if (fd == listener) {
        int conn = sockeye_accept(listener, NULL, NULL);
        taken += conn != -1 && watched(ep, conn) == 0;
      } else {
        ssize_t got = sockeye_recv(fd, buf, sizeof buf, MSG_DONTWAIT);
        if (got > 0 && sockeye_send(fd, buf, (size_t)got, MSG_NOSIGNAL) == got) bytes += got;
        else if (got == 0) ended += sockeye_close(fd) == 0;
        else if (got == -1 && errno != EAGAIN) sockeye_close(fd);
      }
    }
  }
  sockeye_close(ep);
  close(timer);
  ANSWER("taken %ld ended %ld bytes %ld ticks %ld", taken, ended, bytes, ticks);
}

struct task {
  pthread_t thread;
  struct sockaddr_in to;
  int rounds, right;
};

static void *converse(void *arg) {
  struct task *task = arg;
  int fd = dialled(task->to);
  for (int i = 0; i < task->rounds && fd != -1; i++) task->right += is_echoed(fd, (uint64_t)i << 32 | (uint64_t)fd);
  if (fd != -1) sockeye_close(fd);
  return NULL;
}

// `threads` threads, each with a connection of its own and `rounds` numbers there and back.
void crowd_threads(int threads, int rounds, struct sockaddr_in to) {
  struct task *tasks = calloc((size_t)threads, sizeof *tasks);
  long right = 0;
  for (int i = 0; i < threads; i++) {
    tasks[i].to = to;
    tasks[i].rounds = rounds;
    if (pthread_create(&tasks[i].thread, NULL, converse, &tasks[i])) abort();
  }
  for (int i = 0; i < threads; i++) {
    pthread_join(tasks[i].thread, NULL);
    right += tasks[i].right;
  }
  free(tasks);
  ANSWER("%ld", right);
}

struct half {
  int fd;
  uint64_t total;
  char said[STREAM_SAID];
};

static void *receive_half(void *arg) {
  struct half *half = arg;
  stream_receive(half->fd, half->total, half->said);
  return NULL;
}

// So many bytes each way at once, a thread for each direction.
void crowd_duplex(int fd, uint64_t total) {
  struct half half = {.fd = fd, .total = total};
  char said[STREAM_SAID];
  pthread_t receiver;
  if (pthread_create(&receiver, NULL, receive_half, &half)) abort();
  stream_send(fd, total, said);
  pthread_join(receiver, NULL);
  ANSWER("sent %s received %s", said, half.said);
}
