// Sockets of AF_INET6 where there is no IPv6 (net.ipv6.conf.all.disable_ipv6): any address, mapped ones, IPV6_V6ONLY,
// who may be bound beside whom, and the options that servers set on them.
#include "api.h"

#define NO_PORT 0

static struct sockaddr_in6 at6(const char *ip, int port) {
  struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  MUST(inet_pton(AF_INET6, ip, &a.sin6_addr) - 1);
  return a;
}

static int opened(int domain, int type, int v6only) {
  int fd = MUST(socket(domain, type, 0));
  if (domain == AF_INET6) set(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6only);
  return fd;
}

static int number(int fd, int level, int name) {
  int value = -99;
  socklen_t len = sizeof value;
  MUST(getsockopt(fd, level, name, &value, &len));
  return value;
}

static const char *verdict(int result) { return result < 0 ? strerrorname_np(errno) : "ok"; }

// The socket's own address, and whether it has a port.
static const char *own(int fd) {
  static char text[128];
  char ip[64] = "";
  struct sockaddr_in6 a = {0};
  socklen_t len = sizeof a;
  MUST(getsockname(fd, (void *)&a, &len));
  inet_ntop(AF_INET6, &a.sin6_addr, ip, sizeof ip);
  snprintf(text, sizeof text, "%d %u %s %s", a.sin6_family == AF_INET6, len, ip, a.sin6_port ? "port" : "no port");
  return text;
}

static int port_of(int fd) {
  struct sockaddr_in6 a = {0};
  socklen_t len = sizeof a;
  MUST(getsockname(fd, (void *)&a, &len));
  return ntohs(a.sin6_port);
}

static const char *const addresses[] = {
    "::",          "::1",         "fd00::1",          "fe80::1",        "ff02::1",
    "2001:db8::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:198.51.100.9"};
#define EACH(i) for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++)

static void binding(int type, int v6only) {
  PART("bind and listen");
  EACH(i) {
    struct sockaddr_in6 a = at6(addresses[i], NO_PORT);
    int fd = opened(AF_INET6, type, v6only), result = bind(fd, ADDR(a));
    SAY("bind %s: %s, %s", addresses[i], verdict(result), result ? "" : own(fd));
    if (type == SOCK_STREAM && result == 0) SAY("listen: %s, %s", verdict(listen(fd, 5)), own(fd));
    if (result == 0) {
      int other = !v6only;
      SAY("V6ONLY afterwards: %s, %d", verdict(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &other, 4)),
          number(fd, IPPROTO_IPV6, IPV6_V6ONLY));
    }
    MUST(close(fd));
  }
  int fd = opened(AF_INET6, type, v6only);
  struct sockaddr_in plain = at("127.0.0.1", NO_PORT);
  SAY("bind 127.0.0.1: %s", verdict(bind(fd, ADDR(plain))));
  SAY("unbound: %s", own(fd));
  if (type == SOCK_STREAM) SAY("listen unbound: %s, %s", verdict(listen(fd, 5)), own(fd));
  MUST(close(fd));
}

static void connecting(int type, int v6only) {
  PART("connect and send");
  EACH(i) {
    struct sockaddr_in6 a = at6(addresses[i], 9), any = at6("::", NO_PORT);
    int fd = opened(AF_INET6, type, v6only);
    // There is a route to 198.51.100.9 or none: not the family's matter.
    if (strstr(addresses[i], "198")) continue;
    SAY("connect %s: %s", addresses[i], verdict(connect(fd, ADDR(a))));
    if (type == SOCK_DGRAM) SAY("then %s", own(fd));
    MUST(close(fd));
    fd = opened(AF_INET6, type, v6only);
    MUST(bind(fd, ADDR(any)));
    SAY("bound, connect: %s", verdict(connect(fd, ADDR(a))));
    MUST(close(fd));
    if (v6only || !strstr(addresses[i], "ffff")) {
      fd = opened(AF_INET6, type, v6only);
      nonblocking(fd);
      SAY("without waiting: %s", verdict(connect(fd, ADDR(a))));
      SAY("pending: %s", pending(fd));
      MUST(close(fd));
    }
    if (type != SOCK_DGRAM) continue;
    fd = opened(AF_INET6, type, v6only);
    SAY("send: %s", verdict(sendto(fd, "x", 1, 0, ADDR(a))));
    SAY("then %s", own(fd));
    a.sin6_port = 0;
    SAY("send to port 0: %s", verdict(sendto(fd, "x", 1, 0, ADDR(a))));
    MUST(close(fd));
  }
}

// An address of a link and the interface it is on: 1 is the loopback interface, and nobody has the last.
static void scoped(int type) {
  static const unsigned scopes[] = {0, 1, 4711};
  PART(type == SOCK_STREAM ? "streams and scopes" : "datagrams and scopes");
  for (size_t i = 0; i < sizeof scopes / sizeof *scopes; i++) {
    struct sockaddr_in6 a = at6("fe80::1", 9);
    a.sin6_scope_id = scopes[i];
    int bound = opened(AF_INET6, type, 0), connected = opened(AF_INET6, type, 0);
    SAY("scope %u: bind %s", scopes[i], verdict(bind(bound, ADDR(a))));
    SAY("connect %s", verdict(connect(connected, ADDR(a))));
    if (scopes[i] == 1) SAY("by %d, %d", number(bound, SOL_SOCKET, 62), number(connected, SOL_SOCKET, 62));
    a.sin6_addr = in6addr_any;
    int other = opened(AF_INET6, type, 0);
    SAY("elsewhere it means nothing: %s, %d", verdict(bind(other, ADDR(a))), number(other, SOL_SOCKET, 62));
    MUST(close(bound)), MUST(close(connected)), MUST(close(other));
  }
}

// Who is bound first, and who then, on the same port.
static void conflicts(int type) {
  static const struct {
    const char *name;
    int domain, v6only;
    const char *ip;
  } kinds[] = {{"0.0.0.0", AF_INET, 0, "0.0.0.0"},
               {"127.0.0.1", AF_INET, 0, "127.0.0.1"},
               {"::", AF_INET6, 0, "::"},
               {":: only", AF_INET6, 1, "::"},
               {"mapped any", AF_INET6, 0, "::ffff:0.0.0.0"},
               {"mapped", AF_INET6, 0, "::ffff:127.0.0.1"}};
  PART(type == SOCK_STREAM ? "conflicts of streams" : "conflicts of datagrams");
  for (int reuse = 0; reuse < 3; reuse++)
    for (int listens = 0; listens < (type == SOCK_STREAM ? 2 : 1); listens++)
      for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++) {
          int fds[2], result = 0, port = 0;
          for (int n = 0; n < 2; n++) {
            int k = n ? j : i;
            fds[n] = opened(kinds[k].domain, type, kinds[k].v6only);
            if (reuse == 1) set(fds[n], SOL_SOCKET, SO_REUSEADDR, 1);
            if (reuse == 2) set(fds[n], SOL_SOCKET, SO_REUSEPORT, 1);
            if (kinds[k].domain == AF_INET) {
              struct sockaddr_in a = at(kinds[k].ip, port);
              result = bind(fds[n], ADDR(a));
            } else {
              struct sockaddr_in6 a = at6(kinds[k].ip, port);
              result = bind(fds[n], ADDR(a));
            }
            if (n == 0) MUST(result);
            port = port_of(fds[0]);
            if (listens && n == 0) MUST(listen(fds[n], 1));
          }
          SAY("%s%s %s, then %s: %s", (const char *[]){"", "reuseaddr ", "reuseport "}[reuse],
              listens ? "listening" : "", kinds[i].name, kinds[j].name, verdict(result));
          MUST(close(fds[0])), MUST(close(fds[1]));
        }
}

// As nginx with `listen 80` and `listen [::]:80 ipv6only=on`: IPv4 comes to the first.
static void beside_each_other(void) {
  PART("a listener of IPv6 alone beside one of IPv4");
  for (int v6only = 0; v6only < 2; v6only++) {
    struct sockaddr_in6 any = at6("::", NO_PORT);
    int six = opened(AF_INET6, SOCK_STREAM, v6only);
    MUST(bind(six, ADDR(any))), MUST(listen(six, 5));
    int port = port_of(six);
    int four = opened(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in all = at("0.0.0.0", port), there = at("127.0.0.1", port);
    SAY("0.0.0.0 beside: %s", verdict(bind(four, ADDR(all))));
    if (v6only) {
      int alone = MUST(socket(AF_INET, SOCK_STREAM, 0));
      SAY("nobody listens for IPv4: %s", verdict(connect(alone, ADDR(there))));
      MUST(close(alone)), MUST(listen(four, 5));
    }
    int client = MUST(socket(AF_INET, SOCK_STREAM, 0));
    SAY("connect: %s", verdict(connect(client, ADDR(there))));
    struct pollfd who[] = {{.fd = six, .events = POLLIN}, {.fd = v6only ? four : -1, .events = POLLIN}};
    MUST(poll(who, 2, 20000));
    SAY("comes to IPv6's %d, to IPv4's %d", who[0].revents & POLLIN, who[1].revents & POLLIN);
    struct sockaddr_in6 peer = {0};
    socklen_t len = sizeof peer;
    int got = MUST(accept(v6only ? four : six, (void *)&peer, &len));
    if (!v6only) SAY("from a mapped address: %d; %s", IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr), own(got));
    MUST(close(got)), MUST(close(client)), MUST(close(four)), MUST(close(six));
  }
  int six = opened(AF_INET6, SOCK_DGRAM, 1), four = opened(AF_INET, SOCK_DGRAM, 0);
  struct sockaddr_in6 any = at6("::", NO_PORT);
  MUST(bind(six, ADDR(any)));
  struct sockaddr_in there = at("127.0.0.1", port_of(six));
  MUST(bind(four, ADDR(there)));
  int client = MUST(socket(AF_INET6, SOCK_DGRAM, 0));
  // An AF_INET address does for a datagram socket of AF_INET6.
  SAY("send to an AF_INET address: %s", verdict(sendto(client, "x", 1, 0, ADDR(there))));
  SAY("connect to one: %s", verdict(connect(client, ADDR(there))));
  struct pollfd who[] = {{.fd = six, .events = POLLIN}, {.fd = four, .events = POLLIN}};
  MUST(poll(who, 2, 20000));
  SAY("a datagram comes to IPv6's %d, to IPv4's %d", who[0].revents, who[1].revents);
  MUST(close(client)), MUST(close(four)), MUST(close(six));
}

// Where a datagram was sent to is told as IPv6 tells it.
static void packet_information(void) {
  PART("IPV6_RECVPKTINFO");
  int server = opened(AF_INET6, SOCK_DGRAM, 0), client = MUST(socket(AF_INET, SOCK_DGRAM, 0));
  struct sockaddr_in6 any = at6("::", NO_PORT);
  MUST(bind(server, ADDR(any)));
  set(server, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
  set(server, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
  set(server, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1);
  struct sockaddr_in there = at("127.0.0.1", port_of(server));
  MUST(sendto(client, "x", 1, 0, ADDR(there)));
  struct pollfd waits = {.fd = server, .events = POLLIN};
  MUST(poll(&waits, 1, 20000));
  char byte, control[256], ip[64];
  struct sockaddr_in6 from;
  struct iovec piece = {&byte, 1};
  struct msghdr message = {.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &piece, .msg_iovlen = 1,
                           .msg_control = control, .msg_controllen = sizeof control};
  MUST(recvmsg(server, &message, 0));
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
    struct in6_pktinfo info = {0};
    if (c->cmsg_type == IPV6_PKTINFO) memcpy(&info, CMSG_DATA(c), sizeof info);
    SAY("level %d type %d length %zu: %s by %d", c->cmsg_level, c->cmsg_type, c->cmsg_len,
        inet_ntop(AF_INET6, &info.ipi6_addr, ip, sizeof ip), (int)info.ipi6_ifindex);
  }
  // The answer goes from where the question went to.
  message.msg_controllen = CMSG_LEN(sizeof(struct in6_pktinfo));
  SAY("answer: %s", verdict(sendmsg(server, &message, 0)));
  struct pollfd answered = {.fd = client, .events = POLLIN};
  MUST(poll(&answered, 1, 20000));
  MUST(close(server)), MUST(close(client));
}

static void options(int domain, int type) {
  static const struct {
    const char *name;
    int number;
  } known[] = {{"V6ONLY", IPV6_V6ONLY}, {"UNICAST_HOPS", IPV6_UNICAST_HOPS}, {"MULTICAST_IF", IPV6_MULTICAST_IF},
               {"MULTICAST_HOPS", IPV6_MULTICAST_HOPS}, {"MULTICAST_LOOP", IPV6_MULTICAST_LOOP}, {"MULTICAST_ALL", 29},
               {"MTU_DISCOVER", IPV6_MTU_DISCOVER}, {"RECVERR", IPV6_RECVERR}, {"RECVPKTINFO", IPV6_RECVPKTINFO},
               {"RECVHOPLIMIT", IPV6_RECVHOPLIMIT}, {"RECVTCLASS", IPV6_RECVTCLASS}, {"TCLASS", IPV6_TCLASS},
               {"DONTFRAG", 62}, {"AUTOFLOWLABEL", 70}, {"HOPLIMIT", IPV6_HOPLIMIT}, {"CHECKSUM", IPV6_CHECKSUM},
               {"MTU", IPV6_MTU}};
  static const int values[] = {-2, -1, 0, 1, 2, 5, 64, 255, 256, 1279, 1280, 70000};
  PART(domain == AF_INET     ? "options of IPv6 on AF_INET"
       : type == SOCK_STREAM ? "options of streams"
                             : "options of datagrams");
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    int fd = MUST(socket(domain, type, 0)), value = -99;
    socklen_t len = sizeof value;
    int result = getsockopt(fd, IPPROTO_IPV6, known[i].number, &value, &len);
    SAY("%s: %s %d, length %u", known[i].name, verdict(result), value, len);
    for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
      result = setsockopt(fd, IPPROTO_IPV6, known[i].number, &values[k], sizeof values[k]);
      SAY("%d: %s", values[k], verdict(result));
      value = -99, len = sizeof value;
      if (result == 0) SAY("is %s %d", verdict(getsockopt(fd, IPPROTO_IPV6, known[i].number, &value, &len)), value);
    }
    MUST(close(fd));
  }
  int fd = MUST(socket(domain, type, 0));
  struct ipv6_mreq group = {0};
  inet_pton(AF_INET6, "ff02::fb", &group.ipv6mr_multiaddr);
  SAY("join: %s", verdict(setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &group, sizeof group)));
  MUST(close(fd));
}

int main(void) {
  for (int v6only = 0; v6only < 2; v6only++) {
    PART(v6only ? "only IPv6" : "IPv4 too");
    binding(SOCK_STREAM, v6only);
    binding(SOCK_DGRAM, v6only);
    connecting(SOCK_STREAM, v6only);
    connecting(SOCK_DGRAM, v6only);
  }
  scoped(SOCK_STREAM);
  scoped(SOCK_DGRAM);
  conflicts(SOCK_STREAM);
  conflicts(SOCK_DGRAM);
  beside_each_other();
  packet_information();
  options(AF_INET6, SOCK_STREAM);
  options(AF_INET6, SOCK_DGRAM);
  options(AF_INET, SOCK_DGRAM);
  return 0;
}
