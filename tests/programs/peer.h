// What the programs of the end-to-end tests share: includes, a limit on their own life, and a stream both ends can check.
#ifndef SOCKEYE_PEER_H
#define SOCKEYE_PEER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sockeye.h"

// A program whose test is gone ends by itself.
__attribute__((constructor)) static void live_at_most(void) { alarm(1200); }

// A stream's bytes are a function of their place in it: word i is i times an odd constant, little-endian.
#define STREAM_STEP UINT64_C(0x9E3779B97F4A7C15)

static inline void stream_fill(void *into, size_t len, uint64_t offset) {
  unsigned char *out = into;
  for (size_t at = 0; at < len; at += 8) {
    uint64_t word = (offset + at) / 8 * STREAM_STEP;
    memcpy(out + at, &word, len - at < 8 ? len - at : 8);
  }
}

// A 64-bit hash of a stream, the same however the stream is cut into pieces.
struct hash {
  uint64_t state, carry, bytes;
};

static inline void hash_word(struct hash *h, uint64_t word) {
  h->state = (h->state ^ word) * STREAM_STEP;
  h->state ^= h->state >> 32;
}

static inline void hash_bytes(struct hash *h, const void *data, size_t len) {
  const unsigned char *p = data, *end = p + len;
  while (p < end && (h->bytes % 8 || end - p < 8)) {
    h->carry |= (uint64_t)*p++ << h->bytes++ % 8 * 8;
    if (h->bytes % 8 == 0) hash_word(h, h->carry), h->carry = 0;
  }
  for (; end - p >= 8; p += 8, h->bytes += 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    hash_word(h, word);
  }
  if (p < end) hash_bytes(h, p, (size_t)(end - p));
}

static inline uint64_t hash_end(struct hash h) {
  hash_word(&h, h.carry);
  hash_word(&h, h.bytes);
  return h.state;
}

static inline struct sockaddr_in address(const char *ip, const char *port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) {
    fprintf(stderr, "no address: %s\n", ip);
    exit(1);
  }
  return a;
}

// An answer is one line on stdout.
#define ANSWER(...) (printf(__VA_ARGS__), putchar('\n'), (void)fflush(stdout))

// Answers with what a call returned: a number, or -1 and errno's name.
static inline void answer_result(long ret) {
  if (ret == -1) ANSWER("-1 %s", strerrorname_np(errno));
  else ANSWER("%ld", ret);
}

#endif
