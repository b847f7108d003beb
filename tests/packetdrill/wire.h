/* TCP segments in bare IPv4 packets: the peer's side of the wire. */
#ifndef WIRE_H
#define WIRE_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32, ECE = 64, CWR = 128 };

struct segment {
  uint16_t from, to;
  uint32_t seq, ack;
  uint8_t flags;
  uint16_t window;
  const char *data;
  size_t len;
};

static uint32_t add(uint32_t sum, const uint8_t *at, size_t len) {
  for (size_t i = 0; i < len; i++) sum += i % 2 ? at[i] : (uint32_t)at[i] << 8;
  return sum;
}

static uint16_t folded(uint32_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return htons((uint16_t)~sum);
}

static void put16(uint8_t *at, uint16_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value) {
  put16(at, (uint16_t)(value >> 16));
  put16(at + 2, (uint16_t)value);
}

static uint32_t take(const uint8_t *at, int bytes) {
  uint32_t value = 0;
  for (int i = 0; i < bytes; i++) value = value << 8 | at[i];
  return value;
}

/* Writes the packet that carries `s` between two addresses; returns its length. */
static size_t emit(uint8_t *p, const char *source, const char *dest, struct segment s) {
  size_t total = 40 + s.len;
  memset(p, 0, 40);
  p[0] = 0x45;
  put16(p + 2, (uint16_t)total);
  p[8] = 64;
  p[9] = 6;
  inet_pton(AF_INET, source, p + 12);
  inet_pton(AF_INET, dest, p + 16);
  uint16_t checksum = folded(add(0, p, 20));
  memcpy(p + 10, &checksum, 2);
  uint8_t *t = p + 20;
  put16(t, s.from);
  put16(t + 2, s.to);
  put32(t + 4, s.seq);
  put32(t + 8, s.ack);
  t[12] = 0x50;
  t[13] = s.flags;
  put16(t + 14, s.window);
  /* The last byte is the urgent one. */
  if (s.flags & URG) put16(t + 18, (uint16_t)s.len);
  if (s.len) memcpy(t + 20, s.data, s.len);
  checksum = folded(add((uint32_t)(6 + 20 + s.len) + add(0, p + 12, 8), t, 20 + s.len));
  memcpy(t + 16, &checksum, 2);
  return total;
}

#endif
