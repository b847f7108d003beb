// A client that measures: how long a round trip takes, on one connection or on a new one each time.
#include "node.h"

#define MOST 4000000

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int by_size(const void *one, const void *other)
{
    float a = *(const float *)one, b = *(const float *)other;
    return (a > b) - (a < b);
}

static int connected(const struct sockaddr_in *to)
{
    struct wish wish = {.kind = ECHO, .magic = MAGIC};
    int yes = 1, fd = sockeye_socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || sockeye_connect(fd, (const struct sockaddr *)to, sizeof *to) < 0)
        fail("connect");
    sockeye_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (sockeye_send(fd, &wish, sizeof wish, MSG_NOSIGNAL) != sizeof wish)
        fail("send");
    return fd;
}

static void trip(int fd)
{
    char byte = 'x';
    if (sockeye_send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || sockeye_recv(fd, &byte, 1, 0) != 1 || byte != 'x')
        fail("a trip");
}

// Prints the median and the 99th percentile in microseconds, and how many trips there were a second.
int trips(const char *kind, const char *to, int port, double seconds)
{
    struct sockaddr_in server = address(to, port);
    int is_new = strcmp(kind, "connections") == 0, fd = is_new ? -1 : connected(&server);
    float *took = malloc(MOST * sizeof *took);
    size_t count = 0;
    double began = now(), at = began;
    if (!took)
        fail("malloc");
    while (at < began + seconds && count < MOST) {
        if (is_new)
            fd = connected(&server);
        trip(fd);
        if (is_new)
            sockeye_close(fd);
        double done = now();
        took[count++] = (float)((done - at) * 1e6);
        at = done;
    }
    qsort(took, count, sizeof *took, by_size);
    printf("%.1f %.1f %.0f\n", (double)took[count / 2], (double)took[count * 99 / 100], (double)count / (at - began));
    return fflush(stdout);
}
