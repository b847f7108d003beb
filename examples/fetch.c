/* fetch: gets a page by HTTP through a stack of its own, and says how fast it came.
 *
 *     SOCKEYE_NET=tap:t0,ip=10.97.0.2/24,gw=10.97.0.1 ./fetch ADDRESS PORT /PATH [FILE]
 */
#include <sockeye.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int fail(const char *what)
{
    const char *why = errno == ENETDOWN ? sockeye_last_error() : NULL;
    fprintf(stderr, "fetch: %s: %s\n", what, why ? why : strerror(errno));
    return 1;
}

int main(int argc, char **argv)
{
    static char buffer[1 << 18];
    struct sockaddr_in server = {.sin_family = AF_INET};
    if (argc < 4 || argc > 5 || inet_pton(AF_INET, argv[1], &server.sin_addr) != 1) {
        fprintf(stderr, "usage: fetch ADDRESS PORT /PATH [FILE]\n");
        return 2;
    }
    server.sin_port = htons((unsigned short)atoi(argv[2]));
    FILE *file = argc == 5 ? fopen(argv[4], "w") : NULL;
    if (argc == 5 && !file)
        return fail(argv[4]);

    int s = sockeye_socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0)
        return fail("socket");
    double begin = seconds();
    if (sockeye_connect(s, (struct sockaddr *)&server, sizeof server) < 0)
        return fail("connect");
    double connected = seconds();
    int length = snprintf(buffer, sizeof buffer, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", argv[3], argv[1]);
    if (sockeye_send(s, buffer, (size_t)length, 0) != length)
        return fail("send");

    /* The header, then what of the body came with it. */
    size_t have = 0;
    char *body = NULL;
    while (!body) {
        ssize_t n = have < sizeof buffer - 1 ? sockeye_recv(s, buffer + have, sizeof buffer - 1 - have, 0) : 0;
        if (n <= 0)
            return n < 0 ? fail("recv") : (fprintf(stderr, "fetch: no HTTP\n"), 1);
        buffer[have += (size_t)n] = 0;
        body = strstr(buffer, "\r\n\r\n");
    }
    body += 4;
    char *field = strstr(buffer, "Content-Length: ");
    long long promised = field && field < body ? atoll(field + 16) : -1, got = 0;
    ssize_t n = (ssize_t)have - (body - buffer);
    do {
        got += n;
        if (file && fwrite(body, 1, (size_t)n, file) != (size_t)n)
            return fail(argv[4]);
        body = buffer;
    } while ((n = sockeye_recv(s, buffer, sizeof buffer, 0)) > 0);
    double took = seconds() - connected;
    if (n < 0)
        return fail("recv");
    if (file && fclose(file))
        return fail(argv[4]);
    sockeye_close(s);

    double mbit = (double)got * 8 / took / 1e6;
    printf("%lld bytes in %.2f s: %.*f %s (connected in %.2f ms)\n", got, took, mbit < 1000 ? 1 : 2,
           mbit < 1000 ? mbit : mbit / 1000, mbit < 1000 ? "Mbit/s" : "Gbit/s", (connected - begin) * 1000);
    if (promised >= 0 && got != promised) {
        fprintf(stderr, "fetch: %lld bytes were promised\n", promised);
        return 1;
    }
    return 0;
}
