/* The binary interface between packetdrill and a stack in a shared object, as the driver needs it: 33 words. */
#ifndef INTERFACE_H
#define INTERFACE_H

#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef void *U;

struct packetdrill_interface {
  U userdata;
  void (*free)(U);
  int (*socket)(U, int, int, int);
  int (*bind)(U, int, const struct sockaddr *, socklen_t);
  int (*listen)(U, int, int);
  int (*accept)(U, int, struct sockaddr *, socklen_t *);
  int (*connect)(U, int, const struct sockaddr *, socklen_t);
  ssize_t (*read)(U, int, void *, size_t);
  ssize_t (*readv)(U, int, const struct iovec *, int);
  ssize_t (*recv)(U, int, void *, size_t, int);
  ssize_t (*recvfrom)(U, int, void *, size_t, int, struct sockaddr *, socklen_t *);
  ssize_t (*recvmsg)(U, int, struct msghdr *, int);
  ssize_t (*write)(U, int, const void *, size_t);
  ssize_t (*writev)(U, int, const struct iovec *, int);
  ssize_t (*send)(U, int, const void *, size_t, int);
  ssize_t (*sendto)(U, int, const void *, size_t, int, const struct sockaddr *, socklen_t);
  ssize_t (*sendmsg)(U, int, const struct msghdr *, int);
  int (*fcntl)(U, int, int, ...);
  int (*ioctl)(U, int, unsigned long, ...);
  int (*close)(U, int);
  int (*shutdown)(U, int, int);
  int (*getsockopt)(U, int, int, int, void *, socklen_t *);
  int (*setsockopt)(U, int, int, int, const void *, socklen_t);
  int (*poll)(U, struct pollfd *, nfds_t, int);
  int (*netdev_send)(U, const void *, size_t);
  int (*netdev_receive)(U, void *, size_t *, long long *);
  int (*usleep)(U, useconds_t);
  int (*gettimeofday)(U, struct timeval *, struct timezone *);
  int (*epoll_create)(U, int);
  int (*epoll_ctl)(U, int, int, int, struct epoll_event *);
  int (*epoll_wait)(U, int, struct epoll_event *, int, int);
  int (*pipe)(U, int[2]);
  int (*splice)(U, int, loff_t *, int, loff_t *, size_t, unsigned int);
};

#endif
