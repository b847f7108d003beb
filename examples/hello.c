/* hello: a program talks to itself over a stack of its own; needs no device and no rights.
 *
 *     SOCKEYE_NET=null: ./hello
 */
#include <sockeye.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int check(const char *what, int result)
{
    if (result < 0) {
        const char *why = sockeye_last_error();
        fprintf(stderr, "hello: %s: %s\n", what, why ? why : strerror(errno));
        exit(1);
    }
    return result;
}

int main(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(7)};
    struct sockaddr *addr = (struct sockaddr *)&here;
    const char said[] = "hello, world";
    char heard[sizeof said];

    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = check("socket", sockeye_socket(AF_INET, SOCK_STREAM, 0));
    check("bind", sockeye_bind(listener, addr, sizeof here));
    check("listen", sockeye_listen(listener, 1));
    int caller = check("socket", sockeye_socket(AF_INET, SOCK_STREAM, 0));
    check("connect", sockeye_connect(caller, addr, sizeof here));
    int called = check("accept", sockeye_accept(listener, NULL, NULL));
    check("send", (int)sockeye_send(caller, said, sizeof said, 0));
    check("recv", (int)sockeye_recv(called, heard, sizeof heard, MSG_WAITALL));
    printf("%s\n", heard);
    check("close", sockeye_close(caller));
    check("close", sockeye_close(called));
    check("close", sockeye_close(listener));
    return memcmp(said, heard, sizeof said) != 0;
}
