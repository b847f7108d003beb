// A program that sends, closes and returns loses nothing: what it sent is still there for its peer, and so is the end.
// The peer is in the same process here, so what is checked is that closing keeps data for a reader that comes late.
#include "api.h"

static char block[1 << 20];

int main(void) {
  int a, b;
  connection(&a, &b);
  for (size_t i = 0; i < sizeof block; i++) block[i] = (char)(i * 31 + (i >> 9));
  uint64_t sent = hash_more(HASH_START, block, sizeof block), got;
  nonblocking(a);
  long queued = 0, n;
  while (queued < (long)sizeof block && (n = send(a, block + queued, sizeof block - queued, 0)) > 0) queued += n;
  SAY("queued some %d", queued > 0);
  sent = hash_more(HASH_START, block, queued);
  SHOW(close(a));
  usleep(100000);
  memset(block, 0, sizeof block);
  long total = 0;
  while (total < queued && (n = recv(b, block + total, queued - total, 0)) > 0) total += n;
  got = hash_more(HASH_START, block, total);
  SAY("all came %d, right %d", total == queued, got == sent);
  SHOW(recv(b, block, 1, 0));
  SHOW(close(b));
  return 0;
}
