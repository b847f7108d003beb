// What the programs of the end-to-end tests share: includes, a limit on their own life, addresses and answers.
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

static inline struct sockaddr_in address(const char *ip, const char *port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) {
    fprintf(stderr, "no address: %s\n", ip);
    exit(1);
  }
  return a;
}

// An answer is one line on stdout.
#define ANSWER(format, ...) (printf(format "\n", ##__VA_ARGS__), (void)fflush(stdout))

// Answers with what a call returned: a number, or -1 and errno's name.
static inline void answer_result(long ret) {
  if (ret == -1) ANSWER("-1 %s", strerrorname_np(errno));
  else ANSWER("%ld", ret);
}

#endif
