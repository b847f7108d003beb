/* server: a web server on a TCP/IP stack of its own.
 *
 *     SOCKEYE_NET=tap:t0,ip=10.97.0.2/24 ./server
 */
#include <sockeye.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(80)}, peer;
    int listener = sockeye_socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0) {
        fprintf(stderr, "server: no socket: %s\n", sockeye_last_error());
        return 1;
    }
    if (sockeye_bind(listener, (struct sockaddr *)&here, sizeof here) < 0 || sockeye_listen(listener, 16) < 0) {
        perror("server");
        return 1;
    }
    for (;;) {
        socklen_t size = sizeof peer;
        int caller = sockeye_accept(listener, (struct sockaddr *)&peer, &size);
        if (caller < 0) {
            perror("accept");
            return 1;
        }
        char request[4096], page[256], reply[512];
        if (sockeye_recv(caller, request, sizeof request, 0) > 0) {
            int length = snprintf(page, sizeof page, "Hello %s, port %d. This page came out of no kernel's TCP.\n",
                                  inet_ntoa(peer.sin_addr), ntohs(peer.sin_port));
            snprintf(reply, sizeof reply, "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s", length, page);
            sockeye_send(caller, reply, strlen(reply), MSG_NOSIGNAL);
        }
        sockeye_close(caller);
    }
}
