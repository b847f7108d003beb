// SO_BINDTODEVICE and a host's own addresses: by which interface comes in what a host sends to itself, and who hears
// it.
#include "api.h"

#define OWN "10.97.0.2"

// What a socket is tied to: t0, lo, or nothing.
static const char *const ties[] = {"", "t0", "lo"};

static int tied(int type, const char *device) {
  int fd = MUST(socket(AF_INET, type, 0));
  if (*device) MUST(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, (socklen_t)strlen(device)));
  return fd;
}

static const char *name(const char *device) { return *device ? device : "any"; }

// Whether something that leaves by one tie for an address may be heard by another, as far as how long to wait for it.
static int is_likely(const char *by, const char *to, const char *hears) {
  const char *arrives = *by ? by : strcmp(to, OWN) ? "lo" : "t0";
  return !*hears || !strcmp(arrives, hears);
}

// What poll says once one of `want` is there, after a moment at the latest if that is not to be expected.
static int seen(int fd, int want, int expected) {
  long end = milliseconds() + (expected ? 5000 : 100);
  int have;
  while (!((have = look(fd)) & want) && milliseconds() < end) usleep(500);
  return have & (POLLIN | POLLOUT | POLLERR | POLLHUP);
}

static void stream(const char *from, const char *by, const char *to, const char *hears) {
  int l = tied(SOCK_STREAM, hears), c = tied(SOCK_STREAM, by);
  struct sockaddr_in any = at("0.0.0.0", 0);
  MUST(bind(l, ADDR(any)));
  MUST(listen(l, 5));
  struct sockaddr_in where = at(to, ntohs(local(l).sin_port)), source = at(from, 0);
  if (*from) MUST(bind(c, ADDR(source)));
  nonblocking(c);
  SAY("stream %s by %s to %s heard by %s", from, name(by), to, name(hears));
  if (SHOW(connect(c, ADDR(where))) == -1 && errno == EINPROGRESS) {
    // What comes back comes in by the interface of the address that it goes to, unless who answers is tied.
    int returns = is_likely(is_likely(by, to, hears) ? hears : "", *from ? from : to, by);
    int have = seen(c, POLLOUT, returns);
    SAY("%s, %s", bits((unsigned)have), pending(c));
    if (have == POLLOUT) {
      char device[16] = "", byte;
      socklen_t len = sizeof device;
      int s = MUST(accept(l, NULL, NULL));
      send_all(c, "x", 1), recv_all(s, &byte, 1);
      MUST(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, device, &len));
      SAY("accepted from %s at %s, tied to %s", ip_of(remote(s)), ip_of(local(s)), name(device));
      MUST(close(s));
    }
  }
  MUST(close(c)), MUST(close(l));
}

static void datagrams(const char *by, const char *to, const char *hears, int connected) {
  int s = tied(SOCK_DGRAM, hears), c = tied(SOCK_DGRAM, by);
  struct sockaddr_in any = at("0.0.0.0", 0);
  MUST(bind(s, ADDR(any)));
  set(s, IPPROTO_IP, IP_PKTINFO, 1);
  struct sockaddr_in where = at(to, ntohs(local(s).sin_port)), from;
  SAY("datagram by %s to %s heard by %s", name(by), to, name(hears));
  if (connected) {
    SHOW(connect(c, ADDR(where)));
    SHOW(send(c, "x", 1, 0));
  } else {
    SHOW(sendto(c, "x", 1, 0, ADDR(where)));
  }
  int have = seen(s, POLLIN, is_likely(by, to, hears));
  SAY("%s", bits((unsigned)have & POLLIN));
  if (have & POLLIN) {
    char byte, room[CMSG_SPACE(sizeof(struct in_pktinfo))];
    struct iovec io = {&byte, 1};
    struct msghdr m = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &io, .msg_iovlen = 1};
    m.msg_control = room, m.msg_controllen = sizeof room;
    MUST(recvmsg(s, &m, 0));
    struct in_pktinfo info;
    memcpy(&info, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof info);
    SAY("from %s by interface %d", ip_of(from), info.ipi_ifindex);
    SHOW(sendto(s, "y", 1, 0, ADDR(from)));
    SAY("back: %s", bits((unsigned)seen(c, POLLIN, is_likely(hears, to, by)) & POLLIN));
  }
  MUST(close(c)), MUST(close(s));
}

int main(void) {
  size_t by, hears;
  PART("the device's address");
  for (by = 0; by < 3; by++)
    for (hears = 0; hears < 3; hears++) {
      stream("", ties[by], OWN, ties[hears]);
      datagrams(ties[by], OWN, ties[hears], 0);
      datagrams(ties[by], OWN, ties[hears], 1);
    }

  PART("the loopback's");
  for (by = 0; by < 3; by += 2)
    for (hears = 0; hears < 3; hears++) {
      stream("", ties[by], "127.0.0.1", ties[hears]);
      datagrams(ties[by], "127.0.0.1", ties[hears], 0);
      datagrams(ties[by], "127.0.0.1", ties[hears], 1);
    }

  PART("from one to the other");
  for (by = 0; by < 3; by++) stream("127.0.0.1", ties[by], OWN, "");
  for (by = 0; by < 3; by++) stream(OWN, ties[by], OWN, "");
  stream(OWN, "", "127.0.0.1", "");
  stream(OWN, "lo", "127.0.0.1", "");
  return 0;
}
