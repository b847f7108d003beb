// The soak's server: one thread, an epoll instance, TCP and UDP on one port, and beside it a listener with a short
// queue that is looked at now and then.
#include "node.h"

// How many connections may wait at the short queue, and how often one is taken out of it, in milliseconds.
#define SHORT_QUEUE 8
#define SHORT_EVERY 20
#define BLOCK 65536

struct connection {
    struct wish wish;
    size_t of_wish;         // bytes of it that have come
    uint32_t at;            // place in the pattern
    size_t from, to;        // what is to be sent back, in `block`
    int fd, has_ended;
    unsigned char block[BLOCK];
};

static int queue; // epoll
// What SOAK_PLANT asks for: to leak, so that the soak can be seen to fail.
static int plants_memory, plants_descriptors;
// Bytes a connection: so much that the half minute that one waits for it is enough for the rule.
#define PLANTED (64 << 10)

static void interest(struct connection *c, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (sockeye_epoll_ctl(queue, EPOLL_CTL_MOD, c->fd, &event) < 0)
        fail("epoll_ctl");
}

static void end(struct connection *c)
{
    // A child may have the file, too, and closing alone would leave it in the instance.
    if (sockeye_epoll_ctl(queue, EPOLL_CTL_DEL, c->fd, NULL) < 0)
        fail("epoll_ctl");
    sockeye_close(c->fd);
    free(c);
}

static void reset(int fd)
{
    struct linger linger = {.l_onoff = 1};
    if (sockeye_setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) < 0)
        fail("SO_LINGER");
}

// A child echoes until the end, and the parent has nothing to do with the connection any more.
static void fork_for(struct connection *c)
{
    pid_t child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        int flags = fcntl(c->fd, F_GETFL);
        fcntl(c->fd, F_SETFL, flags & ~O_NONBLOCK);
        for (ssize_t n; (n = sockeye_recv(c->fd, c->block, BLOCK, 0)) > 0;)
            if (sockeye_send(c->fd, c->block, (size_t)n, MSG_NOSIGNAL) != n)
                break;
        _exit(0);
    }
    end(c);
}

// Moves what can be moved. Nothing is left to do when it gives 0, and the connection is gone.
static int move(struct connection *c)
{
    for (;;) {
        if (c->of_wish < sizeof c->wish) {
            ssize_t n = sockeye_recv(c->fd, (char *)&c->wish + c->of_wish, sizeof c->wish - c->of_wish, 0);
            if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 1;
            if (n <= 0)
                return 0;
            c->of_wish += (size_t)n;
            if (c->of_wish < sizeof c->wish)
                continue;
            if (c->wish.magic != MAGIC)
                fail("a wrong byte: a connection began with %x", c->wish.magic);
            if (c->wish.kind == FORKED) {
                fork_for(c);
                return -1;
            }
        }
        if (c->from < c->to) {
            ssize_t n = sockeye_send(c->fd, c->block + c->from, c->to - c->from, MSG_NOSIGNAL);
            if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
                interest(c, EPOLLOUT);
                return 1;
            }
            if (n < 0)
                return 0;
            c->from += (size_t)n;
            if (c->from == c->to)
                interest(c, EPOLLIN);
            continue;
        }
        uint32_t left = c->wish.amount - c->at;
        if ((c->wish.kind == SOURCE || c->wish.kind == RESETTING) && left > 0) {
            c->from = 0;
            c->to = left < BLOCK ? left : BLOCK;
            fill(c->block, c->to, c->wish.seed, c->at);
            c->at += (uint32_t)c->to;
            continue;
        }
        if (c->wish.kind == RESETTING)
            reset(c->fd);
        if (c->wish.kind == SOURCE || c->wish.kind == RESETTING || c->has_ended)
            return 0;
        ssize_t n = sockeye_recv(c->fd, c->block, BLOCK, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return 1;
        if (n < 0)
            return 0;
        c->has_ended = n == 0;
        if (c->wish.kind == SINK) {
            check(c->block, (size_t)n, c->wish.seed, c->at, "received by the server");
            c->at += (uint32_t)n;
            c->from = 0;
            c->to = c->at == c->wish.amount && n > 0;
        } else {
            c->from = 0;
            c->to = (size_t)n;
        }
    }
}

static void accept_from(int listener)
{
    for (;;) {
        int fd = sockeye_accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
                return;
            fail("accept");
        }
        struct connection *c = malloc(sizeof *c);
        if (!c)
            fail("malloc");
        memset(c, 0, offsetof(struct connection, block));
        c->fd = fd;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (sockeye_epoll_ctl(queue, EPOLL_CTL_ADD, fd, &event) < 0)
            fail("epoll_ctl");
        if (plants_memory)
            memset(malloc(PLANTED), 1, PLANTED);
        static unsigned count;
        if (plants_descriptors && ++count % 8 == 0 && sockeye_socket(AF_INET, SOCK_STREAM, 0) < 0)
            fail("a planted socket");
    }
}

static void echo_datagrams(int fd)
{
    static unsigned char datagram[BLOCK];
    struct sockaddr_in from;
    for (int i = 0; i < 64; i++) {
        socklen_t len = sizeof from;
        ssize_t n = sockeye_recvfrom(fd, datagram, sizeof datagram, 0, (struct sockaddr *)&from, &len);
        // An ICMP error of an answer before this one may be told here.
        if (n < 0)
            return;
        sockeye_sendto(fd, datagram, (size_t)n, 0, (struct sockaddr *)&from, len);
    }
}

static int opened(int type, int port, int backlog)
{
    int yes = 1, fd = sockeye_socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (fd < 0)
        fail("socket: %s", sockeye_last_error());
    sockeye_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (sockeye_bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || (backlog && sockeye_listen(fd, backlog) < 0))
        fail("port %d", port);
    return fd;
}

static void watch(int *fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = fd};
    if (sockeye_epoll_ctl(queue, EPOLL_CTL_ADD, *fd, &event) < 0)
        fail("epoll_ctl");
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int serve(int port)
{
    const char *plant = getenv("SOAK_PLANT");
    plants_memory = plant && strcmp(plant, "memory") == 0;
    plants_descriptors = plant && strcmp(plant, "descriptors") == 0;
    queue = sockeye_epoll_create1(EPOLL_CLOEXEC);
    int listener = opened(SOCK_STREAM, port, 4096);
    int datagrams = opened(SOCK_DGRAM, port, 0);
    int few = opened(SOCK_STREAM, port + 1, SHORT_QUEUE);
    watch(&listener);
    watch(&datagrams);
    fprintf(stderr, "serving\n");
    long next = now_ms();
    while (!is_over) {
        struct epoll_event events[64];
        long wait = next - now_ms();
        int n = sockeye_epoll_wait(queue, events, 64, wait > 0 ? (int)wait : 0);
        if (n < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &listener)
                accept_from(listener);
            else if (events[i].data.ptr == &datagrams)
                echo_datagrams(datagrams);
            else if (move(events[i].data.ptr) == 0)
                end(events[i].data.ptr);
        }
        if (now_ms() >= next) {
            next = now_ms() + SHORT_EVERY;
            int fd = sockeye_accept4(few, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0)
                sockeye_close(fd);
        }
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    }
    return 0;
}
