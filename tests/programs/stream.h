// A stream that both ends can check: its bytes follow from their place in it, and a hash says whether all of them came.
#ifndef SOCKEYE_STREAM_H
#define SOCKEYE_STREAM_H

#include <stddef.h>
#include <stdint.h>

// Room for what stream_send and stream_receive say.
#define STREAM_SAID 80

// Fills `into` with the stream from `offset`, a multiple of 8.
void stream_fill(void *into, size_t len, uint64_t offset);

// Sends `total` bytes of the stream. Says the number sent and its hash, or what went wrong after how many.
void stream_send(int fd, uint64_t total, char *said);

// Receives until `total` bytes have come, or the end. Says the same.
void stream_receive(int fd, uint64_t total, char *said);

#endif
