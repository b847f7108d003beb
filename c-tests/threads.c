// Sixty-four threads on one stack: thirty-two echo servers and as many clients, every byte verified; then threads that
// share one socket, and sockets opened and closed by all at once.
#include "api.h"

enum { PAIRS = 32, ROUNDS = 200, MAX = 3000 };

static struct sockaddr_in where;
static int l, shared[2];
static int failures;

static void failed(const char *what) {
  __atomic_fetch_add(&failures, 1, __ATOMIC_SEQ_CST);
  SAY("%s: %s", what, strerrorname_np(errno));
}

static void *echo(void *arg) {
  char buf[MAX];
  int s = accept(l, NULL, NULL);
  long n;
  while ((n = recv(s, buf, sizeof buf, 0)) > 0) send_all(s, buf, n);
  if (n < 0) failed("echo");
  MUST(close(s));
  return arg;
}

static void *client(void *arg) {
  unsigned seed = (unsigned)(long)arg * 2654435761u + 1;
  char out[MAX], in[MAX];
  int c = MUST(socket(AF_INET, SOCK_STREAM, 0));
  if (connect(c, ADDR(where))) failed("connect");
  for (int i = 0; i < scaled(ROUNDS); i++) {
    size_t n = 1 + rand_r(&seed) % MAX;
    for (size_t j = 0; j < n; j++) out[j] = (char)(seed >> (j & 15)) + (char)j;
    send_all(c, out, n);
    recv_all(c, in, n);
    if (memcmp(in, out, n)) failed("bytes differ");
  }
  MUST(close(c));
  return arg;
}

static void *share_send(void *arg) {
  char block[16];
  memset(block, 'a' + (int)(long)arg, sizeof block);
  for (int i = 0; i < scaled(1000); i++)
    if (send(shared[0], block, sizeof block, 0) != sizeof block) failed("send");
  return NULL;
}

static void *share_recv(void *arg) {
  long sum = 0, n;
  char block[16];
  (void)arg;
  while ((n = recv(shared[1], block, sizeof block, 0)) > 0) sum += n;
  return (void *)sum;
}

static void *churn(void *arg) {
  struct sockaddr_in a;
  for (int i = 0; i < scaled(50); i++) {
    int fd = listener(4, &a), c = MUST(socket(AF_INET, SOCK_STREAM, 0)), s;
    if (connect(c, ADDR(a))) failed("connect");
    s = accept(fd, NULL, NULL);
    char x = 'x', y = 0;
    send_all(s, &x, 1), recv_all(c, &y, 1);
    if (y != 'x') failed("byte");
    MUST(close(s)), MUST(close(c)), MUST(close(fd));
  }
  return arg;
}

int main(void) {
  pthread_t t[2 * PAIRS];
  PART("echo pairs");
  l = listener(PAIRS, &where);
  for (long i = 0; i < PAIRS; i++) MUST(pthread_create(&t[i], NULL, echo, NULL));
  for (long i = 0; i < PAIRS; i++) MUST(pthread_create(&t[PAIRS + i], NULL, client, (void *)i));
  for (int i = 0; i < 2 * PAIRS; i++) pthread_join(t[i], NULL);
  SAY("failures %d", failures);

  PART("four senders and four receivers on one connection");
  connection(&shared[0], &shared[1]);
  for (long i = 0; i < 4; i++) {
    MUST(pthread_create(&t[i], NULL, share_send, (void *)i));
    MUST(pthread_create(&t[4 + i], NULL, share_recv, NULL));
  }
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  MUST(shutdown(shared[0], SHUT_WR));
  long sum = 0;
  for (int i = 4; i < 8; i++) {
    void *part;
    pthread_join(t[i], &part);
    sum += (long)part;
  }
  SAY("received all %d, failures %d", sum == 4 * 16 * scaled(1000), failures);

  PART("sixty-four open and close");
  for (long i = 0; i < 2 * PAIRS; i++) MUST(pthread_create(&t[i], NULL, churn, NULL));
  for (int i = 0; i < 2 * PAIRS; i++) pthread_join(t[i], NULL);
  SAY("failures %d", failures);
  return failures != 0;
}
