// The counters of a stack by name.
#include "api.h"

int main(void) {
  PART("names");
  size_t n = 0;
  int segments = 0;
  for (const char *name; (name = sockeye_counter_name(n)); n++) {
    if (sockeye_counter(NULL, name) < 0) SAY("%s cannot be read", name);
    segments += !strcmp(name, "TcpInSegs");
  }
  SAY("many %d, segments once %d, none behind the last %d", n > 50, segments == 1, !sockeye_counter_name(n + 1));
  SHOW(sockeye_counter(NULL, "TcpExtNothing"));
  SHOW(sockeye_counter(NULL, (const char *)8));
  SHOW(sockeye_counter((struct sockeye_stack *)&n, "TcpInSegs"));

  PART("counting");
  long long opens = sockeye_counter(NULL, "TcpActiveOpens"), passive = sockeye_counter(NULL, "TcpPassiveOpens");
  int a, b;
  connection(&a, &b);
  SAY("opens %lld %lld", (long long)sockeye_counter(NULL, "TcpActiveOpens") - opens,
      (long long)sockeye_counter(NULL, "TcpPassiveOpens") - passive);
  struct sockeye_stack *own = sockeye_stack_new("null:");
  SAY("a stack of one's own counts for itself: %lld", (long long)sockeye_counter(own, "TcpActiveOpens"));
  sockeye_stack_free(own);
  SHOW(sockeye_counter(own, "TcpActiveOpens"));
  MUST(close(a)), MUST(close(b));
  return 0;
}
