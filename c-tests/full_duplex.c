// Bulk data both ways over one connection at once, in odd sizes, with hashes compared; and through a tiny window.
#include "api.h"

enum { CHUNK = 100003 };

static long amount;
static int ends[2];

struct half { int fd; uint64_t seed, sent, received; };

static uint64_t next(uint64_t *s) {
  *s ^= *s << 13, *s ^= *s >> 7, *s ^= *s << 17;
  return *s;
}

static void *sender(void *arg) {
  struct half *h = arg;
  static _Thread_local uint64_t block[CHUNK / 8 + 1];
  uint64_t s = h->seed, hash = HASH_START;
  for (long left = amount; left > 0;) {
    long n = 8 * (1 + (long)(next(&s) % (CHUNK / 8)));
    if (n > left) n = left;
    for (long i = 0; i < n / 8; i++) block[i] = next(&s);
    hash = hash_more(hash, block, n);
    send_all(h->fd, block, n);
    left -= n;
  }
  MUST(shutdown(h->fd, SHUT_WR));
  h->sent = hash;
  return NULL;
}

static void *receiver(void *arg) {
  struct half *h = arg;
  static _Thread_local unsigned char block[CHUNK];
  uint64_t s = h->seed * 3, hash = HASH_START;
  long total = 0, kept = 0, n;
  while ((n = recv(h->fd, block + kept, 1 + (size_t)(next(&s) % (CHUNK - kept)), 0)) > 0) {
    // Hashed by whole words, wherever the pieces were cut.
    long words = (kept + n) / 8 * 8, rest = kept + n - words;
    hash = hash_more(hash, block, words);
    memmove(block, block + words, rest);
    kept = rest, total += n;
  }
  if (n < 0) SAY("recv: %s", strerrorname_np(errno));
  h->received = hash_more(hash, block, kept);
  SAY("received all: %d", total == amount);
  return NULL;
}

static void duplex(const char *what, long bytes, int buffer) {
  struct half h[2];
  pthread_t t[4];
  PART(what);
  amount = bytes;
  connection(&ends[0], &ends[1]);
  for (int i = 0; i < 2; i++) {
    if (buffer) set(ends[i], SOL_SOCKET, SO_RCVBUF, buffer), set(ends[i], SOL_SOCKET, SO_SNDBUF, buffer);
    h[i] = (struct half){ends[i], 88172645463325252ull + i, 0, 0};
    MUST(pthread_create(&t[i], NULL, sender, &h[i]));
    MUST(pthread_create(&t[2 + i], NULL, receiver, &h[i]));
  }
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  SAY("hashes %d %d", h[0].sent == h[1].received, h[1].sent == h[0].received);
  MUST(close(ends[0])), MUST(close(ends[1]));
}

int main(void) {
  duplex("bulk each way", scaled(200000000), 0);
  duplex("through small buffers", scaled(400000), 16384);
  return 0;
}
