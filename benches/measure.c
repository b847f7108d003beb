/* measure: a server, and a client that measures it. Written in the names of sockeye.h; with kernel_names.h before it
 * (-include) the same source is a program of the kernel's sockets.
 *
 *     measure serve PORT
 *     measure KIND ADDRESS PORT SECONDS      prints one number
 *
 * KIND   what is measured                                         unit
 * rr     one byte there and one back, on one connection           round trips/s
 * conn   connect, one byte each way, close                        connections/s
 * in     the client sends, the server receives                    Gbit/s
 * out    the server sends, the client receives                    Gbit/s
 *
 * The first byte on a connection says which: 'r' echo, 'i' receive all, 'o' send until the peer closes.
 */
#include <sockeye.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

enum { BULK = 1 << 18, EVENTS = 64 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int fail(const char *what)
{
    fprintf(stderr, "measure: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- server: one thread in epoll_wait for what is short, a thread of its own for each bulk transfer ---- */

static void *bulk(void *argument)
{
    int s = (int)((intptr_t)argument >> 8), way = (int)((intptr_t)argument & 0xff);
    char *buffer = calloc(1, BULK);
    if (buffer) {
        while ((way == 'i' ? sockeye_recv(s, buffer, BULK, 0) : sockeye_send(s, buffer, BULK, MSG_NOSIGNAL)) > 0)
            ;
    }
    free(buffer);
    sockeye_close(s);
    return NULL;
}

static void answer(int epoll, int s)
{
    char message[16];
    ssize_t n = sockeye_recv(s, message, sizeof message, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && message[0] == 'r') {
        if (sockeye_send(s, message, (size_t)n, MSG_NOSIGNAL) == n)
            return;
    } else if (n > 0) {
        pthread_t thread;
        sockeye_epoll_ctl(epoll, EPOLL_CTL_DEL, s, NULL);
        if (pthread_create(&thread, NULL, bulk, (void *)((intptr_t)s << 8 | message[0])) == 0) {
            pthread_detach(thread);
            return;
        }
    }
    sockeye_close(s);
}

static void serve(unsigned short port)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN}, events[EVENTS];
    int one = 1, listener = sockeye_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (listener < 0)
        fail("socket");
    sockeye_setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (sockeye_bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || sockeye_listen(listener, 1024) < 0)
        fail("listen");
    int epoll = sockeye_epoll_create1(0);
    event.data.fd = listener;
    if (epoll < 0 || sockeye_epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) < 0)
        fail("epoll");
    for (;;) {
        int n = sockeye_epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd != listener) {
                answer(epoll, events[i].data.fd);
                continue;
            }
            int s;
            while ((s = sockeye_accept4(listener, NULL, NULL, 0)) >= 0) {
                sockeye_setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                event.data.fd = s;
                sockeye_epoll_ctl(epoll, EPOLL_CTL_ADD, s, &event);
            }
        }
    }
}

/* ---- client ---- */

static struct sockaddr_in peer = {.sin_family = AF_INET};

static int call(void)
{
    int one = 1, s = sockeye_socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0)
        fail("socket");
    sockeye_setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (sockeye_connect(s, (struct sockaddr *)&peer, sizeof peer) < 0)
        fail("connect");
    return s;
}

static void round_trip(int s)
{
    char byte = 'r';
    if (sockeye_send(s, &byte, 1, MSG_NOSIGNAL) != 1 || sockeye_recv(s, &byte, 1, 0) != 1)
        fail("round trip");
}

static double measure(const char *kind, double limit)
{
    static char buffer[BULK];
    double begin = seconds(), now = begin, amount = 0;
    if (strcmp(kind, "conn") == 0) {
        for (; now - begin < limit; amount++, now = seconds()) {
            int s = call();
            round_trip(s);
            sockeye_close(s);
        }
        return amount / (now - begin);
    }
    int s = call();
    if (strcmp(kind, "rr") == 0) {
        round_trip(s);
        for (begin = now = seconds(); now - begin < limit; amount++, now = seconds())
            round_trip(s);
        sockeye_close(s);
        return amount / (now - begin);
    }
    /* Bulk: a third of the time to get up to speed. */
    double warm = limit / 3;
    buffer[0] = kind[0];
    if ((*kind != 'i' && *kind != 'o') || sockeye_send(s, buffer, 1, MSG_NOSIGNAL) != 1)
        fail(kind);
    for (int counting = 0; now - begin < limit; now = seconds()) {
        if (!counting && now - begin >= warm) {
            counting = 1;
            begin = now, amount = 0, limit -= warm;
        }
        ssize_t n = *kind == 'i' ? sockeye_send(s, buffer, sizeof buffer, MSG_NOSIGNAL)
                                 : sockeye_recv(s, buffer, sizeof buffer, 0);
        if (n <= 0)
            fail(kind);
        amount += (double)n;
    }
    sockeye_close(s);
    return amount * 8 / (now - begin) / 1e9;
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        serve((unsigned short)atoi(argv[2]));
    if (argc != 5 || inet_pton(AF_INET, argv[2], &peer.sin_addr) != 1) {
        fprintf(stderr, "usage: measure serve PORT | measure rr|conn|in|out ADDRESS PORT SECONDS\n");
        return 2;
    }
    peer.sin_port = htons((unsigned short)atoi(argv[3]));
    printf("%.3f\n", measure(argv[1], atof(argv[4])));
    return 0;
}
