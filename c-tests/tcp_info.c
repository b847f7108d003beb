// TCP_INFO: the state in every state, and relations that hold between its values.
#include "api.h"

static char buf[1 << 16];

static struct tcp_info info(int fd) {
  struct tcp_info i;
  socklen_t n = sizeof i;
  memset(&i, 0, sizeof i);
  MUST(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &n));
  return i;
}

static void state(const char *what, int fd) { SAY("%s: state %d", what, info(fd).tcpi_state); }

static void becomes(const char *what, int fd, int want) {
  for (long end = milliseconds() + 2000; info(fd).tcpi_state != want && milliseconds() < end;) usleep(500);
  state(what, fd);
}

int main(void) {
  struct sockaddr_in where;
  int a, b, f;
  PART("states");
  a = MUST(socket(AF_INET, SOCK_STREAM, 0));
  state("fresh", a);
  MUST(close(a));
  f = listener(0, &where);
  state("listening", f);
  a = MUST(socket(AF_INET, SOCK_STREAM, 0));
  MUST(connect(a, ADDR(where)));
  b = MUST(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  connect(b, ADDR(where));
  quiet();
  state("connecting", b);
  MUST(close(b)), MUST(close(a)), MUST(close(f));
  connection(&a, &b);
  state("connected", a);
  MUST(shutdown(a, SHUT_WR));
  becomes("we ended", a, TCP_FIN_WAIT2);
  becomes("they ended", b, TCP_CLOSE_WAIT);
  MUST(shutdown(b, SHUT_WR));
  becomes("both ended, last", b, TCP_CLOSE);
  becomes("both ended, first", a, TCP_CLOSE);
  MUST(close(a)), MUST(close(b));
  connection(&a, &b);
  struct linger now = {1, 0};
  MUST(setsockopt(b, SOL_SOCKET, SO_LINGER, &now, sizeof now));
  MUST(close(b));
  becomes("reset", a, TCP_CLOSE);
  MUST(close(a));

  PART("relations after a megabyte");
  connection(&a, &b);
  for (int i = 0; i < 16; i++) send_all(a, buf, sizeof buf), recv_all(b, buf, sizeof buf);
  for (long end = milliseconds() + 2000; info(a).tcpi_unacked && milliseconds() < end;) usleep(500);
  struct tcp_info s = info(a), r = info(b);
  SAY("options negotiated: timestamps %d, SACK %d, window scale %d", !!(s.tcpi_options & TCPI_OPT_TIMESTAMPS),
      !!(s.tcpi_options & TCPI_OPT_SACK), !!(s.tcpi_options & TCPI_OPT_WSCALE));
  SAY("scales cross %d", s.tcpi_snd_wscale == r.tcpi_rcv_wscale && s.tcpi_rcv_wscale == r.tcpi_snd_wscale);
  SAY("rto %d, rtt %d", s.tcpi_rto >= 200000 && s.tcpi_rto < 3000000, s.tcpi_rtt > 0 && s.tcpi_rtt < 500000);
  SAY("mss %d %d", s.tcpi_snd_mss > 500, s.tcpi_rcv_mss > 500);
  SAY("cwnd at least initial %d, ssthresh not below cwnd %d", s.tcpi_snd_cwnd >= 10, s.tcpi_snd_ssthresh >= s.tcpi_snd_cwnd);
  SAY("nothing outstanding %d %d %d %d", s.tcpi_unacked, s.tcpi_sacked, s.tcpi_lost, s.tcpi_retrans);
  SAY("in open state %d, no back-off %d, no probes %d", s.tcpi_ca_state, s.tcpi_backoff, s.tcpi_probes);
  // Not none: who is kept from running for longer than a time-out sends again.
  SAY("sent again %d", s.tcpi_total_retrans >= s.tcpi_retrans && s.tcpi_total_retrans < 10);
  SAY("path mtu above mss %d", s.tcpi_pmtu > s.tcpi_snd_mss);
  SAY("just sent %d", s.tcpi_last_data_sent < 5000);

  PART("lengths");
  socklen_t n = 0;
  SHOW(getsockopt(a, IPPROTO_TCP, TCP_INFO, buf, &n));
  n = 1;
  SHOW(getsockopt(a, IPPROTO_TCP, TCP_INFO, buf, &n));
  SAY("len %u, state %d", n, buf[0]);
  n = 104;
  SHOW(getsockopt(a, IPPROTO_TCP, TCP_INFO, buf, &n));
  SAY("len %u", n);
  SHOW(setsockopt(a, IPPROTO_TCP, TCP_INFO, buf, 4));
  int d = datagram(NULL);
  SHOW(getsockopt(d, IPPROTO_TCP, TCP_INFO, buf, &n));
  return 0;
}
