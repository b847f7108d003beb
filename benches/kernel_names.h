/* Included before a program written in names of sockeye.h (-include), makes it a program of the kernel's sockets. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#define sockeye_last_error() "kernel"
#define sockeye_socket socket
#define sockeye_bind bind
#define sockeye_listen listen
#define sockeye_accept4 accept4
#define sockeye_accept accept
#define sockeye_connect connect
#define sockeye_setsockopt setsockopt
#define sockeye_getsockopt getsockopt
#define sockeye_getsockname getsockname
#define sockeye_fcntl fcntl
#define sockeye_send send
#define sockeye_recv recv
#define sockeye_sendto sendto
#define sockeye_recvfrom recvfrom
#define sockeye_read read
#define sockeye_write write
#define sockeye_shutdown shutdown
#define sockeye_close close
#define sockeye_poll poll
#define sockeye_epoll_create1 epoll_create1
#define sockeye_epoll_ctl epoll_ctl
#define sockeye_epoll_wait epoll_wait
