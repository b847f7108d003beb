// The stream of stream.h.
#include "peer.h"

#include "stream.h"

// Word i of the stream is i times this odd constant, little-endian; the hash multiplies by it as well.
#define STREAM_STEP UINT64_C(0x9E3779B97F4A7C15)

void stream_fill(void *into, size_t len, uint64_t offset) {
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

static void hash_word(struct hash *h, uint64_t word) {
  h->state = (h->state ^ word) * STREAM_STEP;
  h->state ^= h->state >> 32;
}

static void hash_bytes(struct hash *h, const void *data, size_t len) {
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

static uint64_t hash_end(struct hash h) {
  hash_word(&h, h.carry);
  hash_word(&h, h.bytes);
  return h.state;
}

// Sends all of `data`. How much of it was sent.
static size_t send_all(int fd, const unsigned char *data, size_t len) {
  size_t sent = 0;
  while (sent < len) {
    ssize_t n = sockeye_send(fd, data + sent, len - sent, MSG_NOSIGNAL);
    if (n == -1) break;
    sent += (size_t)n;
  }
  return sent;
}

static void say(char *said, const struct hash *h) {
  snprintf(said, STREAM_SAID, "%ju %016jx", (uintmax_t)h->bytes, (uintmax_t)hash_end(*h));
}

static void say_failure(char *said, uint64_t after) {
  snprintf(said, STREAM_SAID, "-1 %s after %ju", strerrorname_np(errno), (uintmax_t)after);
}

void stream_send(int fd, uint64_t total, char *said) {
  enum { PIECE = 1 << 18 };
  unsigned char *buf = malloc(PIECE);
  struct hash h = {0};
  while (buf && h.bytes < total) {
    size_t len = total - h.bytes < PIECE ? total - h.bytes : PIECE;
    stream_fill(buf, len, h.bytes);
    size_t sent = send_all(fd, buf, len);
    if (sent < len) {
      say_failure(said, h.bytes + sent);
      free(buf);
      return;
    }
    hash_bytes(&h, buf, len);
  }
  free(buf);
  say(said, &h);
}

void stream_receive(int fd, uint64_t total, char *said) {
  enum { PIECE = 1 << 20 };
  unsigned char *buf = malloc(PIECE);
  struct hash h = {0};
  while (buf && h.bytes < total) {
    ssize_t n = sockeye_recv(fd, buf, total - h.bytes < PIECE ? total - h.bytes : PIECE, 0);
    if (n == -1) {
      say_failure(said, h.bytes);
      free(buf);
      return;
    }
    if (n == 0) break;
    hash_bytes(&h, buf, (size_t)n);
  }
  free(buf);
  say(said, &h);
}
