// sendmsg, recvmsg, readv and writev: vectors, names, control data and truncation.
#include "api.h"

static char one[4], two[8], three[16];
static char control[256];

static struct msghdr message(struct iovec *io, int n) { return (struct msghdr){.msg_iov = io, .msg_iovlen = n}; }

static void controls(struct msghdr *m) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
    int number = 0;
    if (c->cmsg_len == CMSG_LEN(1)) number = *CMSG_DATA(c);
    else if (c->cmsg_len == CMSG_LEN(4)) memcpy(&number, CMSG_DATA(c), 4);
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo i;
      memcpy(&i, CMSG_DATA(c), sizeof i);
      SAY("  pktinfo: to %s, local %s, interface %d", inet_ntoa(i.ipi_addr), i.ipi_spec_dst.s_addr == i.ipi_addr.s_addr ? "same" : "other",
          i.ipi_ifindex > 0);
    } else if (c->cmsg_level == SOL_SOCKET) SAY("  time stamp type %d len %zu", c->cmsg_type, (size_t)c->cmsg_len);
    else SAY("  level %d type %d len %zu value %d", c->cmsg_level, c->cmsg_type, (size_t)c->cmsg_len, number);
  }
}

static void vectors(void) {
  int a, b;
  PART("vectors on a stream");
  connection(&a, &b);
  struct iovec out[] = {{"ab", 2}, {"", 0}, {"cdefg", 5}, {"hij", 3}};
  SHOW(writev(a, out, 4));
  struct iovec in[] = {{one, 4}, {two, 3}, {three, 16}};
  settled(b, POLLIN), quiet();
  SHOW(readv(b, in, 3));
  SAY("%.4s %.3s %.3s", one, two, three);
  struct msghdr m = message(out, 4);
  SHOW(sendmsg(a, &m, 0));
  quiet();
  m = message(in, 3);
  struct sockaddr_in from = {.sin_port = 7};
  m.msg_name = &from, m.msg_namelen = sizeof from, m.msg_control = control, m.msg_controllen = sizeof control;
  SHOW(recvmsg(b, &m, 0));
  SAY("name len %u, control len %zu, flags %x", m.msg_namelen, (size_t)m.msg_controllen, m.msg_flags);
  m = message(out, 0);
  SHOW(sendmsg(a, &m, 0));
  SHOW(writev(a, out, 0));
  SHOW(writev(a, out, -1));
  SHOW(writev(a, out, 1025));
  SHOW(readv(b, in, 1025));
  m = message(out, 1025);
  SHOW(sendmsg(a, &m, 0));
  struct iovec huge[] = {{"x", SSIZE_MAX}, {"y", SSIZE_MAX}};
  SHOW(writev(a, huge, 2));
  MUST(close(a));
  m = message(in, 3);
  SHOW(recvmsg(b, &m, 0));
  SAY("flags %x", m.msg_flags);
  MUST(close(b));
}

static void datagrams(void) {
  struct sockaddr_in where, from;
  PART("datagrams");
  int d = datagram(&where), e = datagram(NULL);
  struct iovec out[] = {{"0123", 4}, {"456789", 6}}, in[] = {{one, 4}, {two, 2}};
  struct msghdr m = message(out, 2);
  m.msg_name = &where, m.msg_namelen = sizeof where;
  SHOW(sendmsg(e, &m, 0));
  settled(d, POLLIN);
  m = message(in, 2);
  m.msg_name = &from, m.msg_namelen = sizeof from;
  SHOW(recvmsg(d, &m, MSG_PEEK));
  SAY("truncated %d, name len %u, from right %d", !!(m.msg_flags & MSG_TRUNC), m.msg_namelen,
      from.sin_port == local(e).sin_port);
  SHOW(recvmsg(d, &m, MSG_TRUNC));
  SAY("truncated %d, %.4s %.2s", !!(m.msg_flags & MSG_TRUNC), one, two);
  m = message(out, 2);
  m.msg_name = &where, m.msg_namelen = 4;
  SHOW(sendmsg(e, &m, 0));
  m.msg_namelen = 0;
  SHOW(sendmsg(e, &m, 0));
  m.msg_namelen = (socklen_t)-1;
  SHOW(sendmsg(e, &m, 0));

  PART("control data received");
  set(d, IPPROTO_IP, IP_PKTINFO, 1);
  set(d, IPPROTO_IP, IP_RECVTTL, 1);
  set(d, IPPROTO_IP, IP_RECVTOS, 1);
  set(e, IPPROTO_IP, IP_TTL, 33);
  set(e, IPPROTO_IP, IP_TOS, 0x10);
  MUST(sendto(e, "x", 1, 0, ADDR(where)));
  settled(d, POLLIN);
  m = message(in, 2);
  m.msg_control = control, m.msg_controllen = sizeof control;
  SHOW(recvmsg(d, &m, 0));
  SAY("control %zu, flags %x", (size_t)m.msg_controllen, m.msg_flags);
  controls(&m);
  MUST(sendto(e, "x", 1, 0, ADDR(where)));
  settled(d, POLLIN);
  m.msg_controllen = 40;
  SHOW(recvmsg(d, &m, 0));
  SAY("control %zu, cut %d", (size_t)m.msg_controllen, !!(m.msg_flags & MSG_CTRUNC));
  controls(&m);
  MUST(sendto(e, "x", 1, 0, ADDR(where)));
  settled(d, POLLIN);
  m.msg_controllen = 0;
  SHOW(recvmsg(d, &m, 0));
  SAY("control %zu, cut %d", (size_t)m.msg_controllen, !!(m.msg_flags & MSG_CTRUNC));
  set(d, IPPROTO_IP, IP_PKTINFO, 0), set(d, IPPROTO_IP, IP_RECVTTL, 0), set(d, IPPROTO_IP, IP_RECVTOS, 0);
  set(d, SOL_SOCKET, SO_TIMESTAMP, 1);
  MUST(sendto(e, "x", 1, 0, ADDR(where)));
  settled(d, POLLIN);
  m.msg_control = control, m.msg_controllen = sizeof control;
  SHOW(recvmsg(d, &m, 0));
  controls(&m);
  set(d, SOL_SOCKET, SO_TIMESTAMP, 0);

  PART("control data sent");
  set(d, IPPROTO_IP, IP_RECVTTL, 1), set(d, IPPROTO_IP, IP_RECVTOS, 1);
  struct { struct cmsghdr h; int v; int pad; } ttl = {{CMSG_LEN(4), IPPROTO_IP, IP_TTL}, 44, 0};
  m = message(out, 1);
  m.msg_name = &where, m.msg_namelen = sizeof where, m.msg_control = &ttl, m.msg_controllen = CMSG_SPACE(4);
  SHOW(sendmsg(e, &m, 0));
  settled(d, POLLIN);
  struct msghdr r = message(in, 2);
  r.msg_control = control, r.msg_controllen = sizeof control;
  SHOW(recvmsg(d, &r, 0));
  controls(&r);
  ttl.h.cmsg_type = IP_TOS, ttl.v = 0x20;
  SHOW(sendmsg(e, &m, 0));
  settled(d, POLLIN);
  r.msg_controllen = sizeof control;
  SHOW(recvmsg(d, &r, 0));
  controls(&r);
  ttl.h.cmsg_type = IP_TTL, ttl.v = 300;
  SHOW(sendmsg(e, &m, 0));
  ttl.h.cmsg_len = 4;
  SHOW(sendmsg(e, &m, 0));
  ttl.h.cmsg_len = CMSG_LEN(4), ttl.h.cmsg_type = 9999;
  SHOW(sendmsg(e, &m, 0));
  struct { struct cmsghdr h; struct in_pktinfo i; } info = {{CMSG_LEN(sizeof info.i), IPPROTO_IP, IP_PKTINFO}, {0}};
  inet_pton(AF_INET, "127.0.0.9", &info.i.ipi_spec_dst);
  int any = MUST(socket(AF_INET, SOCK_DGRAM, 0));
  m.msg_control = &info, m.msg_controllen = sizeof info;
  SHOW(sendmsg(any, &m, 0));
  settled(d, POLLIN);
  socklen_t len = sizeof from;
  SHOW(recvfrom(d, two, 8, 0, (void *)&from, &len));
  SAY("sent from %s", ip_of(from));
  inet_pton(AF_INET, "192.0.2.7", &info.i.ipi_spec_dst);
  SHOW(sendmsg(any, &m, 0));
}

int main(void) {
  vectors();
  datagrams();
  return 0;
}
