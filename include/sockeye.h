/* Sockeye: a TCP/IP stack outside the kernel, used through the BSD socket API.
 *
 * Generated from the library's sources by its build; do not edit.
 *
 * Each function does what the one of the same name without the prefix does, on sockets of stacks of this library; types
 * and constants are the system's own. A socket's descriptor is one of the process's, so that numbers never collide.
 *
 * On descriptors that are not this library's, sockeye_read, _write, _readv, _writev, _close, _fcntl, _ioctl, _dup, _dup2
 * and _dup3 do what the system's own functions do, and poll, select and epoll take both kinds together; other functions
 * fail with ENOTSOCK. A program whose calls are all prefixed therefore works as it is. The other way round, the system's
 * own functions fail with EBADF on a socket of this library, and must not close one.
 *
 * A signal handler that interrupts a call must not call these functions. In a child made by fork the stacks do not
 * run: calls on their sockets fail with ENETDOWN.
 *
 * SOCKEYE_NET in the environment describes the default stack, for example tap:t0,ip=10.0.0.2/24,gw=10.0.0.1; variables
 * are ignored in programs with more rights than their caller (AT_SECURE). */


#ifndef SOCKEYE_H
#define SOCKEYE_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Of <sys/socket.h>, where _GNU_SOURCE is defined. */
struct mmsghdr;

/**
 * The level of options that are this library's own, for sockeye_getsockopt() and sockeye_setsockopt().
 */
#define SOL_SOCKEYE 21337

/**
 * At SOL_SOCKEYE, an int: whether the descriptor polls IN, OUT, RDHUP, HUP and ERR in the system's own poll, select
 * and epoll as the socket does, for event loops that know nothing of this library. The number stays; what it refers to
 * is replaced, so set it before the descriptor is duplicated or added anywhere. It is not inherited by accepted
 * sockets. Two further descriptors are used. All other calls on the socket must still be this library's.
 *
 * It differs from a socket of the system in this: one that was never connected does not poll HUP, a datagram socket
 * polls IN where it has an error, and a connect() after a connection has ended gives the number a fresh descriptor,
 * which an epoll must be told of again. Urgent data does not show.
 */
#define SOCKEYE_POLLABLE 1

/**
 * A stack, made by sockeye_stack_new().
 */
struct sockeye_stack;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Closes a descriptor; waits for SO_LINGER. See close(2). A cancellation point.
 *
 * @param fd  a descriptor
 * @return 0, or -1 with errno EBADF; for other descriptors as close(2)
 */
int sockeye_close(int fd);

/**
 * A second descriptor for the same open socket. See dup(2).
 *
 * @param fd  a descriptor
 * @return the lowest free descriptor, or -1 with errno EBADF, EMFILE
 */
int sockeye_dup(int fd);

/**
 * Like sockeye_dup(), to a number of choice, which is closed first. See dup2(2).
 *
 * @param fd    a descriptor
 * @param onto  the new number
 * @return the new number, or -1 with errno EBADF
 */
int sockeye_dup2(int fd, int onto);

/**
 * Like sockeye_dup2(), with O_CLOEXEC. See dup3(2).
 *
 * @param fd     a descriptor
 * @param onto   the new number, which must be another one
 * @param flags  0 or O_CLOEXEC
 * @return the new number, or -1 with errno EBADF, EINVAL
 */
int sockeye_dup3(int fd, int onto, int flags);

/**
 * Opens a socket of the default stack, which the first call makes as SOCKEYE_NET describes. See socket(2).
 *
 * @param domain    AF_INET; or AF_INET6, which takes :: and mapped IPv4 addresses, and fails with EADDRNOTAVAIL
 *                  for most others, as there is no IPv6 on the wire
 * @param type      SOCK_STREAM or SOCK_DGRAM, with SOCK_NONBLOCK and SOCK_CLOEXEC
 * @param protocol  0, or IPPROTO_TCP or IPPROTO_UDP
 * @return a descriptor, or -1 with errno ENETDOWN (no stack: sockeye_last_error() says why), EAFNOSUPPORT,
 *         EPROTONOSUPPORT, ESOCKTNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS
 */
int sockeye_socket(int domain, int type, int protocol);

/**
 * Gives a socket a local address. See bind(2).
 *
 * @param fd    a socket
 * @param addr  its address, a struct sockaddr_in or sockaddr_in6
 * @param len   the address's length
 * @return 0, or -1 with errno EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL, EFAULT, EBADF, ENOTSOCK
 */
int sockeye_bind(int fd, const struct sockaddr *addr, socklen_t len);

/**
 * Makes a socket wait for connections. See listen(2).
 *
 * @param fd       a stream socket
 * @param backlog  how many connections may wait to be accepted
 * @return 0, or -1 with errno EADDRINUSE, EINVAL (connected), EOPNOTSUPP, EBADF, ENOTSOCK
 */
int sockeye_listen(int fd, int backlog);

/**
 * Takes a connection that was made to a listening socket. See accept(2). A cancellation point.
 *
 * @param fd    a listening socket
 * @param addr  where the peer's address goes, or NULL
 * @param len   the room there; receives the length of the whole address
 * @return a descriptor, or -1 with errno EAGAIN, EINTR, EINVAL (not listening), EMFILE (the connection stays queued),
 *         EOPNOTSUPP, EFAULT, EBADF, ENOTSOCK
 */
int sockeye_accept(int fd, struct sockaddr *addr, socklen_t *len);

/**
 * Like sockeye_accept(), with SOCK_NONBLOCK and SOCK_CLOEXEC for the new descriptor. See accept4(2).
 *
 * @param fd     a listening socket
 * @param addr   where the peer's address goes, or NULL
 * @param len    the room there; receives the length of the whole address
 * @param flags  0, SOCK_NONBLOCK, SOCK_CLOEXEC
 * @return as sockeye_accept(); EINVAL also for other flags
 */
int sockeye_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags);

/**
 * Connects a socket. AF_UNSPEC disconnects it. See connect(2). A cancellation point.
 *
 * @param fd    a socket
 * @param addr  the peer's address
 * @param len   the address's length
 * @return 0, or -1 with errno EINPROGRESS, EALREADY, EISCONN, ECONNREFUSED, ETIMEDOUT, ENETUNREACH, EHOSTUNREACH,
 *         EADDRNOTAVAIL, EAFNOSUPPORT, EINTR, EINVAL, EFAULT, EBADF, ENOTSOCK
 */
int sockeye_connect(int fd, const struct sockaddr *addr, socklen_t len);

/**
 * Ends one or both directions of a connection. See shutdown(2).
 *
 * @param fd   a connected socket
 * @param how  SHUT_RD, SHUT_WR or SHUT_RDWR
 * @return 0, or -1 with errno ENOTCONN, EINVAL, EBADF, ENOTSOCK
 */
int sockeye_shutdown(int fd, int how);

/**
 * The local address of a socket. See getsockname(2).
 *
 * @param fd    a socket
 * @param addr  where the address goes
 * @param len   the room there; receives the length of the whole address
 * @return 0, or -1 with errno EINVAL, EFAULT, EBADF, ENOTSOCK
 */
int sockeye_getsockname(int fd, struct sockaddr *addr, socklen_t *len);

/**
 * The address of a socket's peer. See getpeername(2).
 *
 * @param fd    a connected socket
 * @param addr  where the address goes
 * @param len   the room there; receives the length of the whole address
 * @return 0, or -1 with errno ENOTCONN, EINVAL, EFAULT, EBADF, ENOTSOCK
 */
int sockeye_getpeername(int fd, struct sockaddr *addr, socklen_t *len);

/**
 * Reads an option of SOL_SOCKET, IPPROTO_IP or IPPROTO_TCP. See getsockopt(2), socket(7), ip(7), tcp(7).
 *
 * @param fd     a socket
 * @param level  the option's level
 * @param name   the option
 * @param value  where its value goes
 * @param len    the room there; receives the length of what was written
 * @return 0, or -1 with errno ENOPROTOOPT (no such option), EOPNOTSUPP (no such level), EINVAL, EFAULT, EBADF,
 *         ENOTSOCK, or the option's own
 */
int sockeye_getsockopt(int fd, int level, int name, void *value, socklen_t *len);

/**
 * Sets an option of SOL_SOCKET, IPPROTO_IP or IPPROTO_TCP. What is not honoured fails. See setsockopt(2).
 *
 * @param fd     a socket
 * @param level  the option's level
 * @param name   the option
 * @param value  its value
 * @param len    the value's length
 * @return 0, or -1 with errno ENOPROTOOPT, EINVAL, EPERM, EDOM, EFAULT, EBADF, ENOTSOCK, or the option's own
 */
int sockeye_setsockopt(int fd, int level, int name, const void *value, socklen_t len);

/**
 * Sends several messages. See sendmmsg(2).
 *
 * @param fd      a socket
 * @param msgvec  the messages; msg_len receives how many bytes of each were sent
 * @param vlen    how many; those beyond the first 1024 are not sent
 * @param flags   as sockeye_send()
 * @return how many were sent, fewer when one fails or a stream takes only a part of one; or -1 with errno as
 *         sockeye_sendmsg() when the first fails
 */
int sockeye_sendmmsg(int fd, struct mmsghdr *msgvec, unsigned int vlen, int flags);

/**
 * Receives several messages. See recvmmsg(2). As on Linux the time is looked at after each message only: a call that
 * waits for the next one waits as long as the socket's SO_RCVTIMEO allows.
 *
 * @param fd       a socket
 * @param msgvec   the messages; msg_len receives the length of each
 * @param vlen     how many at most
 * @param flags    as sockeye_recv(), and MSG_WAITFORONE: only the first is waited for
 * @param timeout  the time after which no further message is waited for, or NULL; receives what is left of it
 * @return how many were received; or -1 with errno as sockeye_recvmsg() when there is none, and EINVAL for a bad time
 */
int sockeye_recvmmsg(int fd, struct mmsghdr *msgvec, unsigned int vlen, int flags, struct timespec *timeout);

/**
 * Receives. See recv(2).
 *
 * @param fd     a socket
 * @param buf    where the bytes go
 * @param len    the room there
 * @param flags  MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL, MSG_TRUNC (a stream's bytes are discarded), MSG_OOB, MSG_ERRQUEUE
 *               (what IP_RECVERR, SO_TIMESTAMPING and SO_ZEROCOPY have to report)
 * @return the number of bytes; 0 at the end of a stream; or -1 with errno EAGAIN, ECONNREFUSED, ECONNRESET, ENOTCONN,
 *         EINTR, EINVAL, EOPNOTSUPP, EFAULT, EBADF, ENOTSOCK
 */
ssize_t sockeye_recv(int fd, void *buf, size_t len, int flags);

/**
 * Receives, and tells a datagram's sender. See recvfrom(2).
 *
 * @param fd        a socket
 * @param buf       where the bytes go
 * @param len       the room there
 * @param flags     as sockeye_recv()
 * @param addr      where the sender's address goes, or NULL
 * @param addr_len  the room there; receives the length of the whole address, 0 for a stream
 * @return as sockeye_recv()
 */
ssize_t sockeye_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *addr, socklen_t *addr_len);

/**
 * Receives into several buffers, with control messages (SO_TIMESTAMP, IP_PKTINFO, IP_TTL, IP_TOS). See recvmsg(2).
 *
 * @param fd     a socket
 * @param msg    the message; its lengths and msg_flags (MSG_TRUNC, MSG_CTRUNC, MSG_OOB) are set
 * @param flags  as sockeye_recv()
 * @return as sockeye_recv(); EMSGSIZE for more than IOV_MAX buffers
 */
ssize_t sockeye_recvmsg(int fd, struct msghdr *msg, int flags);

/**
 * Reads from a socket, or from any other descriptor of the process. See read(2).
 *
 * @param fd   a descriptor
 * @param buf  where the bytes go
 * @param len  the room there; a socket gives nothing for 0
 * @return as sockeye_recv(); for other descriptors as read(2)
 */
ssize_t sockeye_read(int fd, void *buf, size_t len);

/**
 * Like sockeye_read(), into several buffers. See readv(2).
 *
 * @param fd     a descriptor
 * @param iov    the buffers
 * @param count  how many, at most IOV_MAX
 * @return as sockeye_read(); EINVAL for a bad count or length
 */
ssize_t sockeye_readv(int fd, const struct iovec *iov, int count);

/**
 * Sends on a connected socket. See send(2).
 *
 * @param fd     a connected socket
 * @param buf    what to send
 * @param len    how many bytes
 * @param flags  MSG_DONTWAIT, MSG_NOSIGNAL, MSG_MORE, MSG_OOB, MSG_DONTROUTE, MSG_EOR, MSG_CONFIRM
 * @return the number of bytes sent, or -1 with errno EAGAIN, EPIPE (with SIGPIPE unless MSG_NOSIGNAL), ECONNRESET,
 *         ENOTCONN, EDESTADDRREQ, EMSGSIZE, EINTR, EOPNOTSUPP, EFAULT, EBADF, ENOTSOCK
 */
ssize_t sockeye_send(int fd, const void *buf, size_t len, int flags);

/**
 * Sends, a datagram socket to the address given. See sendto(2).
 *
 * @param fd        a socket
 * @param buf       what to send
 * @param len       how many bytes
 * @param flags     as sockeye_send()
 * @param addr      the destination, or NULL
 * @param addr_len  its length
 * @return as sockeye_send(); EINVAL and EAFNOSUPPORT for a bad address
 */
ssize_t sockeye_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr, socklen_t addr_len);

/**
 * Sends from several buffers, with control messages (IP_PKTINFO, IP_TTL, IP_TOS on datagram sockets). See sendmsg(2).
 *
 * @param fd     a socket
 * @param msg    the message
 * @param flags  as sockeye_send()
 * @return as sockeye_sendto(); EINVAL for a bad control message
 */
ssize_t sockeye_sendmsg(int fd, const struct msghdr *msg, int flags);

/**
 * Writes to a connected socket, or to any other descriptor of the process. See write(2).
 *
 * @param fd   a descriptor
 * @param buf  what to write
 * @param len  how many bytes
 * @return as sockeye_send(); for other descriptors as write(2)
 */
ssize_t sockeye_write(int fd, const void *buf, size_t len);

/**
 * Like sockeye_write(), from several buffers. See writev(2).
 *
 * @param fd     a descriptor
 * @param iov    the buffers
 * @param count  how many, at most IOV_MAX
 * @return as sockeye_write(); EINVAL for a bad count or length
 */
ssize_t sockeye_writev(int fd, const struct iovec *iov, int count);

/**
 * Sends from a file of the kernel to a socket, or to any other descriptor of the process. See sendfile(2). A
 * cancellation point.
 *
 * @param out_fd  where it goes
 * @param in_fd   the file
 * @param offset  where in the file to begin; receives where to go on; the file's own position stays. NULL: begins at
 *                the file's position, which moves
 * @param count   how many bytes at most
 * @return the number of bytes sent, or -1 with errno EINVAL and ESPIPE (the file cannot be read at a place of choice),
 *         EBADF, EFAULT, or as sockeye_send(); for other descriptors as sendfile(2)
 */
ssize_t sockeye_sendfile(int out_fd, int in_fd, off_t *offset, size_t count);

/**
 * Makes a stack of its own from a network specification, beside the default one that SOCKEYE_NET describes.
 *
 * @param spec  for example "tap:t0,ip=10.0.0.2/24,gw=10.0.0.1"
 * @return the stack, or NULL with errno EINVAL (the specification is wrong, or the interface is of another kind), or
 *         the cause in the way: EPERM (this user may not have the device), EBUSY (it is held), ENODEV (there is no
 *         /dev/net/tun), EADDRINUSE (another host on the link has an address), EMFILE, ENFILE, ENOMEM, ENOENT or
 *         EACCES (the capture file), ENETDOWN (anything else); EFAULT; sockeye_last_error() says what is wrong and how
 *         to cure it
 */
struct sockeye_stack *sockeye_stack_new(const char *spec);

/**
 * Ends a stack as exit(3) does: closes its sockets, waits until the peers have acknowledged what was sent, for as long
 * as SOCKEYE_EXIT_WAIT says (2 seconds), resets what is left, and lets go of the device. Its descriptors stay open
 * until they are closed; from now on every call on them fails with ENETDOWN but those that are about the descriptor
 * alone (sockeye_close, dup, F_DUPFD, F_GETFD, F_SETFD), and poll, select and epoll show ERR and HUP. NULL is no stack
 * and does nothing.
 *
 * @param stack  from sockeye_stack_new(); must not be used afterwards
 */
void sockeye_stack_free(struct sockeye_stack *stack);

/**
 * Like sockeye_stack_free(), with a limit of one's own to the wait. Without any time nothing is closed first: every
 * connection is reset.
 *
 * @param stack         from sockeye_stack_new(); must not be used afterwards
 * @param milliseconds  how long to wait at most; negative: until everything is acknowledged or its connection has
 *         failed
 * @return 0, or -1 with errno ETIMEDOUT (the time was over and something was reset; the stack is freed all the same),
 *         EINVAL (no such stack) or ENETDOWN (after fork: the stack is the parent's)
 */
int sockeye_stack_free_within(struct sockeye_stack *stack, int milliseconds);

/**
 * Like sockeye_socket(), on a stack of one's own.
 *
 * @param stack     from sockeye_stack_new()
 * @param domain    AF_INET; or AF_INET6, which takes :: and mapped IPv4 addresses, and fails with EADDRNOTAVAIL
 *                  for most others, as there is no IPv6 on the wire
 * @param type      SOCK_STREAM or SOCK_DGRAM, with SOCK_NONBLOCK and SOCK_CLOEXEC
 * @param protocol  0, or IPPROTO_TCP or IPPROTO_UDP
 * @return a descriptor, or -1 with errno EINVAL (also for a stack that is none) or as socket(2)
 */
int sockeye_msocket(struct sockeye_stack *stack, int domain, int type, int protocol);

/**
 * What a stack has counted, under the names of nstat(8): "TcpRetransSegs", "TcpExtTCPTimeouts" and so on.
 *
 * @param stack  from sockeye_stack_new(), or NULL for the default one
 * @param name   one of those that sockeye_counter_name() lists
 * @return the count since the stack was made, or -1 with errno ENOENT (there is no such counter), EINVAL (no such
 *         stack), ENETDOWN (no default stack can be made) or EFAULT
 */
int64_t sockeye_counter(struct sockeye_stack *stack, const char *name);

/**
 * The names of the counters, in the order of nstat(8)'s groups.
 *
 * @param index  from 0 on
 * @return a constant text; NULL behind the last one
 */
const char *sockeye_counter_name(size_t index);

/**
 * What was wrong with the last specification this thread used, with its cure: set when sockeye_stack_new() fails, and
 * when sockeye_socket() fails with ENETDOWN because there is no default stack.
 *
 * @return the text, which stays valid until this thread's next such failure; NULL if there was none
 */
const char *sockeye_last_error(void);

/**
 * The library's version, for example "0.1.0".
 *
 * @return a constant text
 */
const char *sockeye_version(void);

/**
 * Waits until one of several descriptors is ready. See poll(2).
 *
 * @param fds      the descriptors, with what is asked of each; receives what each is ready for
 * @param nfds     how many
 * @param timeout  milliseconds to wait at most; negative for ever
 * @return how many are ready, 0 when the time has passed, or -1 with errno EINTR, EINVAL, EFAULT
 */
int sockeye_poll(struct pollfd *fds, nfds_t nfds, int timeout);

/**
 * Like sockeye_poll(), with a signal mask in force while it waits. See ppoll(2).
 *
 * @param fds      as sockeye_poll()
 * @param nfds     how many
 * @param timeout  the time to wait at most; NULL for ever
 * @param sigmask  the signal mask, or NULL
 * @return as sockeye_poll()
 */
int sockeye_ppoll(struct pollfd *fds, nfds_t nfds, const struct timespec *timeout, const sigset_t *sigmask);

/**
 * Waits until descriptors of three sets are ready. See select(2).
 *
 * @param nfds       one more than the highest descriptor in the sets, at most FD_SETSIZE
 * @param readfds    to be readable, or NULL; receives those that are
 * @param writefds   to be writable, or NULL; receives those that are
 * @param exceptfds  to have urgent data, or NULL; receives those that have
 * @param timeout    the time to wait at most, NULL for ever; receives what is left of it
 * @return how many are in the sets, 0 when the time has passed, or -1 with errno EBADF, EINTR, EINVAL, EFAULT
 */
int sockeye_select(int nfds, fd_set *readfds, fd_set *writefds, fd_set *exceptfds, struct timeval *timeout);

/**
 * Like sockeye_select(), with a signal mask in force while it waits, and the time left as it was. See pselect(2).
 *
 * @param nfds       as sockeye_select()
 * @param readfds    as sockeye_select()
 * @param writefds   as sockeye_select()
 * @param exceptfds  as sockeye_select()
 * @param timeout    the time to wait at most; NULL for ever
 * @param sigmask    the signal mask, or NULL
 * @return as sockeye_select()
 */
int sockeye_pselect(int nfds,
                    fd_set *readfds,
                    fd_set *writefds,
                    fd_set *exceptfds,
                    const struct timespec *timeout,
                    const sigset_t *sigmask);

/**
 * Makes an epoll instance that holds sockets of stacks and descriptors of the kernel. See epoll_create1(2).
 *
 * @param flags  0 or EPOLL_CLOEXEC
 * @return a descriptor, or -1 with errno EINVAL, EMFILE, ENFILE, ENOMEM
 */
int sockeye_epoll_create1(int flags);

/**
 * Adds, changes or deletes an entry of an epoll instance. See epoll_ctl(2).
 *
 * @param epfd   an epoll instance
 * @param op     EPOLL_CTL_ADD, EPOLL_CTL_MOD or EPOLL_CTL_DEL
 * @param fd     the entry's descriptor
 * @param event  what is asked, and the data that comes back; not used by EPOLL_CTL_DEL
 * @return 0, or -1 with errno EEXIST, ENOENT, EPERM, EBADF, EFAULT, ELOOP, or EINVAL (also for a descriptor of this
 *         library in an instance of the system's, which takes pollable sockets by its own epoll_ctl())
 */
int sockeye_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);

/**
 * Waits for events of an epoll instance. See epoll_wait(2).
 *
 * @param epfd       an epoll instance
 * @param events     where the events go
 * @param maxevents  the room there, more than 0
 * @param timeout    milliseconds to wait at most; negative for ever
 * @return the number of events, 0 when the time has passed, or -1 with errno EINTR, EINVAL, EFAULT, EBADF
 */
int sockeye_epoll_wait(int epfd, struct epoll_event *events, int maxevents, int timeout);

/**
 * Like sockeye_epoll_wait(), with a signal mask in force while it waits. See epoll_pwait(2).
 *
 * @param epfd       an epoll instance
 * @param events     where the events go
 * @param maxevents  the room there, more than 0
 * @param timeout    milliseconds to wait at most; negative for ever
 * @param sigmask    the signal mask, or NULL
 * @return as sockeye_epoll_wait()
 */
int sockeye_epoll_pwait(int epfd, struct epoll_event *events, int maxevents, int timeout, const sigset_t *sigmask);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SOCKEYE_H */

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Reads or changes a descriptor's flags, or duplicates it. See fcntl(2).
 *
 * @param fd       a descriptor
 * @param command  on a socket F_GETFL, F_SETFL (O_NONBLOCK), F_GETFD, F_SETFD, F_DUPFD, F_DUPFD_CLOEXEC, F_GETOWN,
 *                 F_SETOWN (nobody); on other descriptors as fcntl(2)
 * @param ...      the command's argument
 * @return the command's result, or -1 with errno EINVAL, EBADF, EMFILE
 */
int sockeye_fcntl(int fd, int command, ...);

/**
 * Asks about or controls a descriptor. See ioctl(2).
 *
 * @param fd       a descriptor
 * @param request  on a socket FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, SIOCOUTQ, SIOCATMARK; on other descriptors as
 *                 ioctl(2)
 * @param ...      the request's argument
 * @return 0, or -1 with errno ENOTTY, EINVAL, EFAULT, EBADF
 */
int sockeye_ioctl(int fd, unsigned long request, ...);

#ifdef __cplusplus
}
#endif
