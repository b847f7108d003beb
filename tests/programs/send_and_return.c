// The smallest sender there is: connects, sends, closes and returns. Nothing it sent may be lost. Its last word says
// whether it closes, and whether it frees its stack before it returns: "free", or "within" some milliseconds.
#include "peer.h"

#include "stream.h"

int main(int argc, char **argv) {
  static unsigned char buf[1 << 16];
  if (argc < 5) return 2;
  int frees = !strcmp(argv[4], "free"), within = argc > 5;
  struct sockeye_stack *stack = frees || within ? sockeye_stack_new(getenv("SOCKEYE_NET")) : NULL;
  struct sockaddr_in to = address(argv[1], argv[2]);
  uint64_t total = strtoull(argv[3], NULL, 10);
  int fd = stack ? sockeye_msocket(stack, AF_INET, SOCK_STREAM, 0) : sockeye_socket(AF_INET, SOCK_STREAM, 0);
  if (fd == -1 || sockeye_connect(fd, (struct sockaddr *)&to, sizeof to)) {
    perror("connect");
    return 1;
  }
  for (uint64_t sent = 0; sent < total; sent += sizeof buf) {
    stream_fill(buf, sizeof buf, sent);
    if (sockeye_send(fd, buf, sizeof buf, 0) != sizeof buf) {
      perror("send");
      return 1;
    }
  }
  if (strcmp(argv[4], "return") && sockeye_close(fd)) return 1;
  if (frees) sockeye_stack_free(stack);
  if (within && sockeye_stack_free_within(stack, atoi(argv[5]))) {
    perror("free");
    return 3;
  }
  if (stack) _exit(0); // What exit() does must not matter.
  return 0;
}
