// Many connections at once, and one after another.
#ifndef SOCKEYE_CROWD_H
#define SOCKEYE_CROWD_H

#include <netinet/in.h>
#include <stdint.h>

void crowd_dial(int count, struct sockaddr_in to);
void crowd_take(int listener, int count);
void crowd_echo(int step);
void crowd_hang_up(void);
void crowd_churn(int count, struct sockaddr_in to);
void crowd_serve(int listener, int count);
void crowd_loop(int listener);
void crowd_threads(int threads, int rounds, struct sockaddr_in to);
void crowd_duplex(int fd, uint64_t total);

#endif
