// IP_RECVERR of datagram sockets: what the error queue says of ICMP errors and of datagrams too large, the pending
// error beside it, and poll's view of both.
#include "api.h"
#include <linux/errqueue.h>

static char data[70000];

// Takes one entry, with room for `room` bytes of the datagram, and prints all of it.
static long take(int fd, size_t room) {
  char payload[2000] = {0};
  union { char bytes[512]; struct cmsghdr align; } control;
  struct sockaddr_in to = {0};
  struct iovec piece = {payload, room};
  struct msghdr m = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &piece, .msg_iovlen = 1,
                     .msg_control = &control, .msg_controllen = sizeof control};
  long got = recvmsg(fd, &m, MSG_ERRQUEUE);
  if (got < 0) {
    SAY("queue: %s", strerrorname_np(errno));
    return got;
  }
  SAY("%ld bytes \"%.12s\", to %s, port %d, name %d, flags%s%s%s", got, payload, ip_of(to), to.sin_port != 0,
      (int)m.msg_namelen, m.msg_flags & MSG_ERRQUEUE ? " ERRQUEUE" : "", m.msg_flags & MSG_TRUNC ? " TRUNC" : "",
      m.msg_flags & MSG_CTRUNC ? " CTRUNC" : "");
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) {
      struct sock_extended_err *e = (void *)CMSG_DATA(c);
      struct sockaddr_in *by = (void *)SO_EE_OFFENDER(e);
      SAY("  length %d: %s, origin %d, type %d, code %d, info %u, data %u, offender family %d %s port %d",
          (int)(c->cmsg_len - CMSG_LEN(0)), strerrorname_np(e->ee_errno), e->ee_origin, e->ee_type, e->ee_code,
          e->ee_info, e->ee_data, by->sin_family, ip_of(*by), by->sin_port);
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo *i = (void *)CMSG_DATA(c);
      char spec[20], addr[20];
      SAY("  pktinfo %d %s %s", i->ipi_ifindex, inet_ntop(AF_INET, &i->ipi_spec_dst, spec, 20),
          inet_ntop(AF_INET, &i->ipi_addr, addr, 20));
    } else {
      SAY("  level %d type %d: %d", c->cmsg_level, c->cmsg_type, *CMSG_DATA(c));
    }
  }
  return got;
}

// Sends what is refused, and takes the pending error, which the next call would fail with.
static void refuse(int fd, struct sockaddr_in none, const void *what, size_t len) {
  MUST(sendto(fd, what, len, 0, ADDR(none)));
  long end = milliseconds() + 2000;
  while (!option(fd, SOL_SOCKET, SO_ERROR) && milliseconds() < end) usleep(500);
}

// A socket that wants to know.
static int curious(void) {
  int fd = datagram(NULL);
  set(fd, IPPROTO_IP, IP_RECVERR, 1);
  return fd;
}

static void unreachable(void) {
  struct sockaddr_in none = nobody(SOCK_DGRAM), other = nobody(SOCK_DGRAM);
  PART("the option reads back");
  int fd = datagram(NULL);
  SAY("%d", option(fd, IPPROTO_IP, IP_RECVERR));
  set(fd, IPPROTO_IP, IP_RECVERR, 7);
  SAY("%d", option(fd, IPPROTO_IP, IP_RECVERR));
  take(fd, 100);
  MUST(close(fd));

  PART("a closed port, by a socket without a peer");
  fd = curious();
  MUST(sendto(fd, "hello", 6, 0, ADDR(none)));
  SAY("%s", bits(settled(fd, POLLERR)));
  take(fd, 100);
  SAY("%s, pending %s", bits(look(fd)), pending(fd));
  take(fd, 100);
  PART("by one with a peer; the call that fails leaves the queue");
  MUST(connect(fd, ADDR(none)));
  MUST(send(fd, "second", 7, 0));
  settled(fd, POLLERR);
  SHOW(recv(fd, data, 10, MSG_DONTWAIT));
  SAY("%s, pending %s", bits(look(fd)), pending(fd));
  SHOW(recv(fd, data, 10, MSG_DONTWAIT));
  take(fd, 100);
  SAY("%s", bits(look(fd)));
  MUST(send(fd, "third", 6, 0));
  settled(fd, POLLERR);
  SAY("pending %s", pending(fd));
  SAY("then %s, %s", pending(fd), bits(look(fd)));
  take(fd, 100);
  MUST(close(fd));

  PART("several wait in their order, and the pending error is that of the first");
  fd = curious();
  refuse(fd, none, "one", 4), refuse(fd, other, "two", 4), refuse(fd, none, "three", 6);
  take(fd, 100);
  SAY("%s, pending %s", bits(look(fd)), pending(fd));
  take(fd, 100);
  take(fd, 100);
  SAY("%s, pending %s", bits(look(fd)), pending(fd));

  PART("a loop that drains it ends");
  int turns = 0, drained = 0;
  for (int i = 0; i < 5; i++) refuse(fd, none, "x", 1);
  while (look(fd) & POLLERR && ++turns < 1000)
    while (recv(fd, data, 10, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0) drained++;
  SAY("%d turns, %d drained", turns, drained);

  PART("what does not fit is cut, and gone");
  MUST(sendto(fd, "0123456789", 10, 0, ADDR(none)));
  settled(fd, POLLERR);
  take(fd, 4);
  take(fd, 4);
  MUST(sendto(fd, "0123456789", 10, 0, ADDR(none)));
  settled(fd, POLLERR);
  struct sockaddr_in name = {0};
  socklen_t len = sizeof name;
  SHOW(recvfrom(fd, data, 4, MSG_ERRQUEUE | MSG_PEEK | MSG_TRUNC, (void *)&name, &len));
  SAY("%s, port right %d, length %d", ip_of(name), name.sin_port == none.sin_port, (int)len);
  take(fd, 4);

  PART("a quote is a part of the datagram");
  memset(data, 'q', sizeof data);
  MUST(sendto(fd, data, 1500, 0, ADDR(none)));
  settled(fd, POLLERR);
  take(fd, 1500);

  PART("with what else was asked for");
  set(fd, IPPROTO_IP, IP_RECVTTL, 1), set(fd, IPPROTO_IP, IP_RECVTOS, 1), set(fd, IPPROTO_IP, IP_PKTINFO, 1);
  MUST(sendto(fd, "ttl", 4, 0, ADDR(none)));
  settled(fd, POLLERR);
  take(fd, 100);
  set(fd, IPPROTO_IP, IP_TOS, 0x28);
  MUST(sendto(fd, "tos", 4, 0, ADDR(none)));
  settled(fd, POLLERR);
  take(fd, 100);

  PART("switched off, the queue is empty, and the pending error stays");
  MUST(sendto(fd, "x", 1, 0, ADDR(none)));
  settled(fd, POLLERR);
  set(fd, IPPROTO_IP, IP_RECVERR, 0);
  SAY("%s", bits(look(fd)));
  SAY("pending %s", pending(fd));
  SAY("%s", bits(look(fd)));
  take(fd, 100);
  MUST(sendto(fd, "x", 1, 0, ADDR(none)));
  quiet();
  SAY("%s", bits(look(fd)));
  take(fd, 100);
  MUST(close(fd));

  PART("data and errors are read apart");
  fd = curious();
  struct sockaddr_in me = local(fd);
  MUST(sendto(fd, "mine", 5, 0, ADDR(me)));
  MUST(sendto(fd, "x", 1, 0, ADDR(none)));
  SAY("%s", bits(settled(fd, POLLERR | POLLIN)));
  take(fd, 100);
  SHOW(recv(fd, data, 10, MSG_DONTWAIT));
  SAY("%s", bits(look(fd)));

  PART("connected elsewhere, the queue stays");
  MUST(sendto(fd, "x", 1, 0, ADDR(none)));
  settled(fd, POLLERR);
  MUST(connect(fd, ADDR(other)));
  struct sockaddr_in unspec = {.sin_family = AF_UNSPEC};
  MUST(connect(fd, ADDR(unspec)));
  SAY("%s", bits(look(fd)));
  SAY("pending %s", pending(fd));
  SAY("%s", bits(look(fd)));
  take(fd, 100);

  PART("the queue is a part of the receive buffer");
  set(fd, SOL_SOCKET, SO_RCVBUF, 1);
  for (int i = 0; i < 6; i++) refuse(fd, none, data, 1000);
  for (turns = 0; recv(fd, data, 10, MSG_ERRQUEUE) >= 0; turns++) {}
  SAY("some %d, not all %d, %s", turns > 0, turns < 6, bits(look(fd)));
  MUST(close(fd));
}

static void many(void) {
  struct sockaddr_in none = nobody(SOCK_DGRAM);
  PART("many at once");
  int fd = curious();
  for (int i = 0; i < 3; i++) refuse(fd, none, "abc", 1 + i);
  char room[5][8];
  struct iovec pieces[5];
  struct mmsghdr all[5] = {0};
  for (int i = 0; i < 5; i++)
    pieces[i] = (struct iovec){room[i], 8}, all[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i], .msg_iovlen = 1};
  SHOW(recvmmsg(fd, all, 5, MSG_ERRQUEUE, NULL));
  for (int i = 0; i < 3; i++) SAY("%u bytes, flags %d", all[i].msg_len, all[i].msg_hdr.msg_flags == (MSG_ERRQUEUE | MSG_CTRUNC));
  SAY("%s, pending %s", bits(look(fd)), pending(fd));
  PART("each is an edge");
  int ep = MUST(epoll_create1(0));
  struct epoll_event event = {.events = EPOLLET}, told;
  MUST(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
  SHOW(epoll_wait(ep, &told, 1, 0));
  for (int i = 0; i < 2; i++) {
    refuse(fd, none, "x", 1);
    SHOW(epoll_wait(ep, &told, 1, 2000));
    SHOW(epoll_wait(ep, &told, 1, 50));
  }
  SHOW(recv(fd, data, 10, MSG_ERRQUEUE));
  SHOW(epoll_wait(ep, &told, 1, 50));
  SHOW(recv(fd, data, 10, MSG_ERRQUEUE));
  SHOW(epoll_wait(ep, &told, 1, 50));
  MUST(close(ep)), MUST(close(fd));
}

static void too_large(void) {
  struct sockaddr_in where;
  int d = datagram(&where);
  PART("too large for the host itself");
  int fd = curious();
  set(fd, SOL_SOCKET, SO_SNDBUF, 1 << 18);
  SHOW(sendto(fd, data, 65508, 0, ADDR(where)));
  SAY("%s, pending %s", bits(look(fd)), pending(fd));
  take(fd, 100);
  SAY("%s", bits(look(fd)));
  MUST(connect(fd, ADDR(where)));
  SHOW(send(fd, data, 65508, 0));
  take(fd, 100);
  SHOW(send(fd, data, 65535, 0));
  take(fd, 100);
  SHOW(send(fd, data, 65536, 0));
  take(fd, 100);
  PART("joined, too large");
  SHOW(send(fd, data, 60000, MSG_MORE));
  SHOW(send(fd, data, 6000, 0));
  take(fd, 100);
  PART("not asked for");
  set(fd, IPPROTO_IP, IP_RECVERR, 0);
  SHOW(send(fd, data, 65508, 0));
  SAY("%s", bits(look(fd)));
  take(fd, 100);
  MUST(close(fd)), MUST(close(d));
}

int main(void) {
  unreachable();
  many();
  too_large();
  return 0;
}
