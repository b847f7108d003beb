// After fork the child has let go of the network: its calls fail cleanly, and the parent's go on as if nothing had
// been. This one has an expectation of its own (fork_child.expected): the kernel's sockets are shared with a child,
// ours are not.
#include "api.h"

int main(void) {
  int a, b, p[2];
  char buf[8];
  struct sockaddr_in where;
  connection(&a, &b);
  int l = listener(5, &where);
  MUST(pipe(p));
  fflush(stdout);
  pid_t child = fork();
  if (!child) {
    struct pollfd w = {.fd = a, .events = POLLIN};
    SAY("send fails: %d", send(a, "child", 5, MSG_NOSIGNAL) < 0 && errno == ENETDOWN);
    SAY("recv fails: %d", recv(a, buf, 5, 0) < 0 && errno == ENETDOWN);
    SAY("accept fails: %d", accept(l, NULL, NULL) < 0 && errno == ENETDOWN);
    SAY("poll returns: %d", poll(&w, 1, 1000) == 1);
    SAY("socket fails: %d", socket(AF_INET, SOCK_STREAM, 0) < 0 && errno == ENETDOWN);
    SAY("the system's own still work: %d", (write)(p[1], "x", 1) == 1 && (read)(p[0], buf, 1) == 1);
    SAY("close: %d", close(a));
    (_exit)(0);
  }
  int status;
  MUST(waitpid(child, &status, 0));
  SAY("child ended with %d", WEXITSTATUS(status));
  send_all(a, "parent", 6);
  recv_all(b, buf, 6);
  SAY("parent goes on: %.6s", buf);
  SAY("peer saw nothing of the child: %s", bits(look(b)));
  child = fork();
  if (!child) {
    exit(7);
  }
  MUST(waitpid(child, &status, 0));
  SAY("a child that exits at once: %d", WEXITSTATUS(status));
  send_all(a, "still", 5);
  recv_all(b, buf, 5);
  SAY("parent goes on: %.5s", buf);
  return 0;
}
