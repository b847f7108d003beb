/* talk: what is typed goes to the peer, what the peer sends is printed. One poll waits for both: for the terminal, a
 * descriptor of the kernel, and for a socket of the stack.
 *
 *     SOCKEYE_NET=tap:t0,ip=10.97.0.2/24 ./talk ADDRESS PORT
 */
#include <sockeye.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_in peer = {.sin_family = AF_INET};
    if (argc != 3 || inet_pton(AF_INET, argv[1], &peer.sin_addr) != 1) {
        fprintf(stderr, "usage: talk ADDRESS PORT\n");
        return 2;
    }
    peer.sin_port = htons((unsigned short)atoi(argv[2]));
    int s = sockeye_socket(AF_INET, SOCK_STREAM, 0);
    if (s < 0 || sockeye_connect(s, (struct sockaddr *)&peer, sizeof peer) < 0) {
        perror("talk");
        return 1;
    }
    struct pollfd fds[2] = {{.fd = s, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    char buffer[4096];
    for (;;) {
        if (sockeye_poll(fds, 2, -1) < 0) {
            perror("poll");
            return 1;
        }
        if (fds[0].revents) {
            ssize_t n = sockeye_read(s, buffer, sizeof buffer);
            if (n <= 0)
                return n < 0 ? (perror("read"), 1) : 0;
            if (write(STDOUT_FILENO, buffer, (size_t)n) != n)
                return 1;
        }
        if (fds[1].revents) {
            ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);
            if (n > 0 && sockeye_write(s, buffer, (size_t)n) != n) {
                perror("write");
                return 1;
            }
            if (n <= 0) { /* nothing more to say; the peer may have */
                sockeye_shutdown(s, SHUT_WR);
                fds[1].fd = -1;
            }
        }
    }
}
