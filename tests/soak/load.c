// The soak's client: one action after another, chosen by chance, against a server that `serve.c` is. Every byte that
// comes is looked at; what goes wrong ends the program.
#include "node.h"

#include <netdb.h>

#define BLOCK 65536
// Connections that stay open across actions, and how often one of them is replaced, in actions of theirs.
#define STEADY 6
#define REPLACED_EVERY 50
// Connections that are begun at once.
#define CROWD 40
// After so many seconds without a byte a connection is said to be stuck.
#define PATIENCE 25

static struct sockaddr_in server;
static uint32_t dice;
static unsigned char block[BLOCK];
static int can_fork;            // whether the server can
static const char *host_name;   // a name that has to be known, or none
static struct { int fd; uint32_t seed, at; } steady[STEADY];

static uint32_t chance(uint32_t below)
{
    dice ^= dice << 13;
    dice ^= dice >> 17;
    dice ^= dice << 5;
    return dice % below;
}

static int opened(int type)
{
    struct timeval patience = {.tv_sec = type == SOCK_STREAM ? PATIENCE : 1};
    int fd = sockeye_socket(AF_INET, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket: %s", sockeye_last_error());
    if (sockeye_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
        sockeye_setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) < 0)
        fail("SO_RCVTIMEO");
    return fd;
}

static int connected_as(uint32_t kind, uint32_t amount, uint32_t seed)
{
    struct wish wish = {.kind = kind, .amount = amount, .seed = seed, .magic = MAGIC};
    int fd = opened(SOCK_STREAM);
    if (sockeye_connect(fd, (struct sockaddr *)&server, sizeof server) < 0)
        fail("connect");
    if (sockeye_send(fd, &wish, sizeof wish, MSG_NOSIGNAL) != sizeof wish)
        fail("send of a wish");
    return fd;
}

// Says how a connection stands before the program ends because of it.
static void tell(int fd)
{
    struct tcp_info i;
    socklen_t len = sizeof i;
    int error = errno;
    struct sockaddr_in at = {0};
    socklen_t of_name = sizeof at;
    memset(&i, 0, sizeof i);
    sockeye_getsockname(fd, (struct sockaddr *)&at, &of_name);
    if (sockeye_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len) == 0)
        fprintf(stderr,
                "port %d: state %u, ca %u, retransmits %u, probes %u, backoff %u, rto %u us, unacked %u, sacked %u, "
                "lost %u, cwnd %u, rtt %u us; ms ago: sent %u, data %u, ack %u\n",
                ntohs(at.sin_port), i.tcpi_state, i.tcpi_ca_state, i.tcpi_retransmits, i.tcpi_probes, i.tcpi_backoff,
                i.tcpi_rto, i.tcpi_unacked, i.tcpi_sacked, i.tcpi_lost, i.tcpi_snd_cwnd, i.tcpi_rtt,
                i.tcpi_last_data_sent, i.tcpi_last_data_recv, i.tcpi_last_ack_recv);
    errno = error;
}

// Sends part of the pattern.
static void give(int fd, uint32_t len, uint32_t seed, uint32_t at)
{
    while (len > 0) {
        uint32_t part = len < BLOCK ? len : BLOCK;
        fill(block, part, seed, at);
        for (uint32_t done = 0; done < part;) {
            ssize_t n = sockeye_send(fd, block + done, part - done, MSG_NOSIGNAL);
            if (n <= 0) {
                tell(fd);
                fail("send, of %u bytes from %u", len, at);
            }
            done += (uint32_t)n;
        }
        at += part;
        len -= part;
    }
}

// Receives part of the pattern.
static void take(int fd, uint32_t len, uint32_t seed, uint32_t at)
{
    while (len > 0) {
        ssize_t n = sockeye_recv(fd, block, len < BLOCK ? len : BLOCK, 0);
        if (n <= 0) {
            tell(fd);
            fail("recv gave %zd where %u bytes were to come, from %u", n, len, at);
        }
        check(block, (size_t)n, seed, at, "received by a client");
        at += (uint32_t)n;
        len -= (uint32_t)n;
    }
}

static void take_end(int fd)
{
    ssize_t n = sockeye_recv(fd, block, 1, 0);
    if (n != 0)
        fail("recv gave %zd where the end was to come", n);
}

static void echo(uint32_t kind, uint32_t len, int is_half_closed)
{
    uint32_t seed = chance(1u << 30);
    int fd = connected_as(kind, 0, seed);
    give(fd, len, seed, 0);
    if (is_half_closed && sockeye_shutdown(fd, SHUT_WR) < 0)
        fail("shutdown");
    take(fd, len, seed, 0);
    if (is_half_closed)
        take_end(fd);
    sockeye_close(fd);
}

static void short_echo(void)
{
    echo(ECHO, 1 + chance(3000), 0);
}

static void half_close(void)
{
    echo(ECHO, chance(20000), 1);
}

static void by_a_child(void)
{
    echo(can_fork ? FORKED : ECHO, 1 + chance(3000), 1);
}

static void download(void)
{
    uint32_t len = 1000 + chance(2000000), seed = chance(1u << 30);
    int fd = connected_as(SOURCE, len, seed);
    take(fd, len, seed, 0);
    take_end(fd);
    sockeye_close(fd);
}

static void upload(void)
{
    uint32_t len = 1000 + chance(2000000), seed = chance(1u << 30);
    int fd = connected_as(SINK, len, seed);
    give(fd, len, seed, 0);
    if (sockeye_recv(fd, block, 1, 0) != 1)
        fail("no answer to an upload");
    sockeye_close(fd);
}

// This side gives up in the middle: by a reset, or by closing with bytes unread.
static void abandon(void)
{
    struct linger linger = {.l_onoff = 1};
    uint32_t seed = chance(1u << 30);
    int fd = connected_as(SOURCE, 500000, seed);
    take(fd, 1 + chance(50000), seed, 0);
    if (chance(2) && sockeye_setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) < 0)
        fail("SO_LINGER");
    sockeye_close(fd);
}

// The other side resets: what came before is right, and the end is no end of data.
static void be_reset(void)
{
    uint32_t len = chance(30000), seed = chance(1u << 30), at = 0;
    int fd = connected_as(RESETTING, len, seed);
    ssize_t n;
    while ((n = sockeye_recv(fd, block, BLOCK, 0)) > 0) {
        check(block, (size_t)n, seed, at, "before a reset");
        at += (uint32_t)n;
    }
    if (n == 0 || errno != ECONNRESET)
        fail("recv gave %zd where a reset was to come, after %u of %u bytes", n, at, len);
    sockeye_close(fd);
}

static void datagrams(void)
{
    int fd = opened(SOCK_DGRAM);
    if (sockeye_connect(fd, (struct sockaddr *)&server, sizeof server) < 0)
        fail("connect of a datagram socket");
    for (int i = 0; i < 10; i++) {
        // Large ones are fragments. A datagram may be lost, and then its answer does not come.
        uint32_t len = 8 + chance(i == 0 ? 9000 : 1400), seed = chance(1u << 30);
        fill(block, len, seed, 0);
        memcpy(block, &seed, sizeof seed);
        if (sockeye_send(fd, block, len, 0) != (ssize_t)len && errno != ECONNREFUSED && errno != EAGAIN)
            fail("send of a datagram");
        ssize_t n = sockeye_recv(fd, block, BLOCK, 0);
        if (n < 0) {
            if (errno != EAGAIN)
                fail("recv of a datagram");
            continue;
        }
        // It may be the answer to one before it.
        memcpy(&seed, block, sizeof seed);
        check(block + sizeof seed, (size_t)n - sizeof seed, seed, sizeof seed, "in a datagram");
    }
    sockeye_close(fd);
}

// Nobody has the port after the server's two.
static void nobody(void)
{
    struct sockaddr_in to = server;
    to.sin_port = htons((uint16_t)(ntohs(server.sin_port) + 2));
    int fd = opened(SOCK_STREAM);
    if (sockeye_connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno != ECONNREFUSED)
        fail("connect where nobody listens");
    sockeye_close(fd);
    fd = opened(SOCK_DGRAM);
    if (sockeye_connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        fail("connect of a datagram socket");
    sockeye_send(fd, "x", 1, 0);
    // ICMP errors are limited in their rate.
    if (sockeye_recv(fd, block, 1, 0) >= 0 || (errno != ECONNREFUSED && errno != EAGAIN))
        fail("a datagram where nobody listens");
    sockeye_close(fd);
}

// Many connections at once, to a queue that is long enough or to one that is not, and is looked at now and then.
static void crowd(int port_after, int must_come)
{
    struct pollfd fds[CROWD];
    struct sockaddr_in to = server;
    to.sin_port = htons((uint16_t)(ntohs(server.sin_port) + port_after));
    for (int i = 0; i < CROWD; i++) {
        fds[i].fd = sockeye_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        fds[i].events = POLLOUT;
        if (fds[i].fd < 0)
            fail("socket: %s", sockeye_last_error());
        if (sockeye_connect(fds[i].fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
            fail("connect of many");
    }
    for (int i = 0; i < CROWD; i++) {
        int error = 0, n = sockeye_poll(&fds[i], 1, must_come ? PATIENCE * 1000 : 5);
        socklen_t len = sizeof error;
        if (n < 0 || (must_come && n == 0))
            fail("poll of one of many gave %d", n);
        if (must_come && (sockeye_getsockopt(fds[i].fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error))
            fail("one of many: error %d", error);
    }
    for (int i = 0; i < CROWD; i++)
        sockeye_close(fds[i].fd);
}

static void crowd_that_is_let_in(void)
{
    crowd(0, 1);
}

static void crowd_that_waits(void)
{
    crowd(1, 0);
}

static void options(void)
{
    static const struct { int level, name, value; } all[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},       {IPPROTO_TCP, TCP_KEEPIDLE, 30}, {IPPROTO_TCP, TCP_KEEPINTVL, 10},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},       {SOL_SOCKET, SO_KEEPALIVE, 1},   {SOL_SOCKET, SO_REUSEADDR, 1},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 40000}, {IPPROTO_IP, IP_TTL, 33},     {IPPROTO_TCP, TCP_QUICKACK, 1},
    };
    int fd = connected_as(ECHO, 0, 1);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int value = all[i].value;
        socklen_t len = sizeof value;
        if (sockeye_setsockopt(fd, all[i].level, all[i].name, &value, len) < 0)
            fail("setsockopt %d, %d", all[i].level, all[i].name);
        if (sockeye_getsockopt(fd, all[i].level, all[i].name, &value, &len) < 0 || value != all[i].value) {
            ssize_t n = sockeye_recv(fd, block, 1, MSG_DONTWAIT);
            int error = errno, later = -1;
            tell(fd);
            // Too late, or never?
            usleep(200000);
            sockeye_getsockopt(fd, all[i].level, all[i].name, &later, &len);
            errno = error;
            fail("getsockopt %d, %d gave %d, later %d, and recv %zd", all[i].level, all[i].name, value, later, n);
        }
    }
    struct tcp_info info;
    struct sockaddr_in at;
    socklen_t len = sizeof info, of_name = sizeof at;
    if (sockeye_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 || info.tcpi_state != TCP_ESTABLISHED)
        fail("TCP_INFO");
    if (sockeye_getsockname(fd, (struct sockaddr *)&at, &of_name) < 0 || at.sin_port == 0)
        fail("getsockname");
    give(fd, 100, 1, 0);
    take(fd, 100, 1, 0);
    sockeye_close(fd);
}

static void go_on(void)
{
    uint32_t which = chance(STEADY), len = 1 + chance(chance(10) ? 500 : 200000);
    if (steady[which].fd >= 0 && chance(REPLACED_EVERY) == 0) {
        sockeye_close(steady[which].fd);
        steady[which].fd = -1;
    }
    if (steady[which].fd < 0) {
        steady[which].seed = chance(1u << 30);
        steady[which].at = 0;
        steady[which].fd = connected_as(ECHO, 0, steady[which].seed);
    }
    // No more than what fits on the way: this side does not read while it writes.
    for (uint32_t part; len > 0; len -= part) {
        part = len < 16384 ? len : 16384;
        give(steady[which].fd, part, steady[which].seed, steady[which].at);
        take(steady[which].fd, part, steady[which].seed, steady[which].at);
        steady[which].at += part;
    }
}

static void name(void)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    if (!host_name)
        return;
    int error = getaddrinfo(host_name, "80", &hints, &found);
    if (error)
        fail("getaddrinfo of %s: %s", host_name, gai_strerror(error));
    freeaddrinfo(found);
}

static const struct { void (*act)(void); unsigned weight; const char *name; } actions[] = {
    {short_echo, 30, "short"},    {go_on, 30, "long"},       {half_close, 8, "half-closed"},
    {by_a_child, 3, "forked"},    {download, 4, "download"}, {upload, 4, "upload"},
    {abandon, 4, "abandoned"},    {be_reset, 4, "reset"},    {datagrams, 8, "datagrams"},
    {nobody, 1, "refused"},       {options, 3, "options"},   {crowd_that_is_let_in, 1, "crowd"},
    {crowd_that_waits, 1, "queue"}, {name, 3, "name"},
};
#define ACTIONS (sizeof actions / sizeof *actions)

int load(const char *to, int port, uint32_t seed)
{
    unsigned long counts[ACTIONS] = {0};
    unsigned sum = 0;
    // Milliseconds of rest after each action: how much work the soak makes.
    const char *rest = getenv("SOAK_REST");
    long pause = rest ? atol(rest) : 20;
    server = address(to, port);
    dice = seed * 2654435761u | 1;
    can_fork = getenv("SOAK_FORKS") != NULL;
    host_name = getenv("SOAK_NAME");
    for (size_t i = 0; i < STEADY; i++)
        steady[i].fd = -1;
    for (size_t i = 0; i < ACTIONS; i++)
        sum += actions[i].weight;
    // No call of an action is to be interrupted.
    sigset_t end;
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigaddset(&end, SIGINT);
    while (!is_over) {
        sigprocmask(SIG_BLOCK, &end, NULL);
        unsigned pick = chance(sum);
        size_t i = 0;
        while (pick >= actions[i].weight)
            pick -= actions[i++].weight;
        actions[i].act();
        counts[i]++;
        sigprocmask(SIG_UNBLOCK, &end, NULL);
        struct timespec time = {pause / 1000, pause % 1000 * 1000000};
        nanosleep(&time, NULL);
    }
    for (size_t i = 0; i < ACTIONS; i++)
        printf("%s %lu\n", actions[i].name, counts[i]);
    return fflush(stdout);
}
