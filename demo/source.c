/* source: the kernel's side of the demo. Answers GET /N by HTTP with N bytes that differ from place to place, as fast
 * as the kernel takes them.
 *
 *     ./source PORT
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char block[1 << 20];

static int send_all(int s, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = send(s, data, size, 0);
        if (n < 0)
            return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct sockaddr_in here = {.sin_family = AF_INET};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    signal(SIGPIPE, SIG_IGN);
    here.sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 8000));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || listen(listener, 16) < 0) {
        perror("source");
        return 1;
    }
    /* xorshift: no part of a block is like another, so that misplaced bytes are noticed */
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < sizeof block; i += sizeof x) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        memcpy(block + i, &x, sizeof x);
    }
    for (;;) {
        int s = accept(listener, NULL, NULL);
        char text[2048];
        ssize_t n = s < 0 ? -1 : recv(s, text, sizeof text - 1, 0);
        unsigned long long size = 0;
        text[n > 0 ? n : 0] = 0;
        if (n > 0 && sscanf(text, "GET /%llu", &size) >= 0) {
            int head = snprintf(text, sizeof text, "HTTP/1.0 200 OK\r\nContent-Length: %llu\r\n\r\n", size);
            int failed = send_all(s, text, (size_t)head);
            for (unsigned long long left = size; left > 0 && !failed;) {
                size_t part = left < sizeof block ? (size_t)left : sizeof block;
                failed = send_all(s, block, part);
                left -= part;
            }
        }
        if (s >= 0)
            close(s);
    }
}
