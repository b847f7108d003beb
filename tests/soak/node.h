// What both sides of the soak agree on: how a connection begins, and which bytes follow.
#ifndef SOAK_NODE_H
#define SOAK_NODE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <sockeye.h>

// What the client wants of a connection.
enum kind {
    ECHO = 1,  // all it sends, back
    SOURCE,    // `amount` bytes of the pattern
    SINK,      // it sends `amount` bytes of the pattern and gets one back, after which the server waits for its end
    RESETTING, // `amount` bytes of the pattern, then a reset
    FORKED,    // an echo by a child of the server
};

// Which every connection begins with, in the byte order of the machine.
struct wish {
    uint32_t kind;
    uint32_t amount;
    uint32_t seed;
    uint32_t magic;
};
#define MAGIC 0x50ea4e50u

// The byte at a place of the pattern of a seed. The highest factor is odd, so that no block repeats the one before.
static inline unsigned char pattern(uint32_t seed, uint32_t at)
{
    return (unsigned char)(((at + seed) * 2654435761u) >> 24);
}

static inline void fill(unsigned char *into, size_t len, uint32_t seed, uint32_t at)
{
    for (size_t i = 0; i < len; i++)
        into[i] = pattern(seed, at + (uint32_t)i);
}

// Says what is wrong and ends the program: the soak has failed.
static inline void __attribute__((format(printf, 1, 2), noreturn)) fail(const char *form, ...)
{
    va_list values;
    int error = errno;
    va_start(values, form);
    fputs("soak: ", stderr);
    vfprintf(stderr, form, values);
    va_end(values);
    fprintf(stderr, " (errno %d: %s)\n", error, strerror(error));
    _exit(1);
}

static inline void check(const unsigned char *bytes, size_t len, uint32_t seed, uint32_t at, const char *where)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != pattern(seed, at + (uint32_t)i))
            fail("a wrong byte: %s, seed %u, byte %u is %u and not %u", where, seed, at + (uint32_t)i, bytes[i],
                 pattern(seed, at + (uint32_t)i));
}

static inline struct sockaddr_in address(const char *text, int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, text, &at.sin_addr) != 1)
        fail("%s is no address", text);
    return at;
}

// Set by the first SIGTERM or SIGINT.
extern volatile sig_atomic_t is_over;

int serve(int port);
int load(const char *to, int port, uint32_t seed);
int trips(const char *kind, const char *to, int port, double seconds);

#endif
