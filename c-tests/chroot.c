// What a socket's descriptor says of the file system: nothing, also behind chroot(2), where it is no way out and no
// place to look for files.
#include "api.h"
#include <sys/stat.h>

#ifdef SOCKEYE
#define NOTHING "/memfd:sockeye"
#else
#define NOTHING "socket:["
#endif

// Where descriptors are seen, opened before there is no /proc.
static int descriptors;

static void looked_through(const char *what, int fd) {
  char number[16], link[64] = "";
  snprintf(number, sizeof number, "%d", fd);
  MUST(readlinkat(descriptors, number, link, sizeof link - 1));
  PART(what);
  SAY("refers to nothing in the file system %d", !strncmp(link, NOTHING, strlen(NOTHING)));
  SHOW(openat(fd, "etc/passwd", O_RDONLY));
  SHOW(openat(fd, "../../../../etc/passwd", O_RDONLY));
  SHOW(openat(fd, ".", O_RDONLY | O_DIRECTORY));
  SHOW(faccessat(fd, "etc/passwd", F_OK, 0));
  SHOW(mkdirat(fd, "made", 0700));
  SHOW(fchdir(fd));
}

static void sockets(const char *stream, const char *datagrams) {
  int tcp = MUST(socket(AF_INET, SOCK_STREAM, 0)), udp = MUST(socket(AF_INET, SOCK_DGRAM, 0));
  looked_through(stream, tcp);
  looked_through(datagrams, udp);
  MUST(close(tcp)), MUST(close(udp));
}

int main(void) {
  char jail[] = "/tmp/chroot-XXXXXX", etc[64], passwd[64];
  if (!mkdtemp(jail)) return 1;
  snprintf(etc, sizeof etc, "%s/etc", jail), snprintf(passwd, sizeof passwd, "%s/etc/passwd", jail);
  MUST(mkdir(etc, 0700));
  MUST((close)(MUST(open(passwd, O_CREAT | O_WRONLY, 0600))));
  descriptors = MUST(open("/proc/self/fd", O_RDONLY | O_DIRECTORY));
  int root = MUST(open("/", O_RDONLY | O_DIRECTORY)), before = MUST(socket(AF_INET, SOCK_STREAM, 0));
  sockets("stream", "datagrams");

  MUST(chroot(jail));
  MUST(chdir("/"));
  looked_through("opened before chroot", before);
  sockets("stream behind chroot", "datagrams behind chroot");
  int a, b;
  connection(&a, &b);
  looked_through("connected", a);
  looked_through("accepted", b);

  // Out again, for those who look after the program.
  MUST(fchdir(root));
  MUST(chroot("."));
  MUST(unlink(passwd)), MUST(rmdir(etc)), MUST(rmdir(jail));
  MUST(close(a)), MUST(close(b)), MUST(close(before)), MUST((close)(root)), MUST((close)(descriptors));
  return 0;
}
