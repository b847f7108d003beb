// What another user of the machine can do to a host, as fast as possible: come by every name that everybody sees, with
// garbage, with tokens that are guessed, with descriptors, or without a word; and look for the secret path.
//
//     stranger SEED [NAME]   at the abstract names that have NAME in them, a stack's by itself
//     stranger --decoy NAME  a listener for them that is no host: it lets in as many as one does, and closes them
#define _GNU_SOURCE
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define NAMES 64
#define HELD 48

static struct sockaddr_un names[NAMES];
static socklen_t lengths[NAMES];
static int count;
static uint32_t dice = 88172645;
static const char *wanted = "sockeye";

static uint32_t chance(uint32_t below)
{
    dice ^= dice << 13;
    dice ^= dice >> 17;
    dice ^= dice << 5;
    return dice % below;
}

// The abstract names that there are in this network namespace, which everybody may read.
static void look(void)
{
    FILE *file = fopen("/proc/net/unix", "r");
    char line[512];
    count = 0;
    while (file && fgets(line, sizeof line, file) && count < NAMES) {
        char *at = strrchr(line, '@');
        if (!at || !strstr(at, wanted))
            continue;
        at[strcspn(at, "\n")] = 0;
        size_t len = strlen(at);
        if (len > sizeof names[0].sun_path)
            continue;
        names[count].sun_family = AF_UNIX;
        memcpy(names[count].sun_path, at, len);
        // The kernel shows each NUL as an @.
        for (size_t i = 0; i < len; i++)
            if (names[count].sun_path[i] == '@')
                names[count].sun_path[i] = 0;
        lengths[count++] = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    }
    if (file)
        fclose(file);
}

static int come(void)
{
    static const int kinds[] = {SOCK_SEQPACKET, SOCK_SEQPACKET, SOCK_SEQPACKET, SOCK_STREAM, SOCK_DGRAM};
    int which = count ? (int)chance((uint32_t)count) : 0;
    int fd = socket(AF_UNIX, kinds[chance(5)] | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (!count || connect(fd, (struct sockaddr *)&names[which], lengths[which]) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

// A request of the right form, with a token that is a guess; or bytes of no form.
static void say(int fd)
{
    static unsigned char bytes[4096];
    // As long as a request of version 4 is, or not.
    size_t len = chance(4) ? 356 : 1 + chance(sizeof bytes);
    for (size_t i = 0; i < 40; i++)
        bytes[i] = (unsigned char)chance(256);
    if (chance(2)) {
        memcpy(bytes, "SkyQ", 4);
        bytes[4] = chance(4) ? 4 : (unsigned char)chance(12);
        bytes[5] = 0;
        bytes[6] = (unsigned char)chance(40);
        bytes[7] = 0;
    }
    send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void lend(int fd)
{
    char byte = 0, room[CMSG_SPACE(sizeof(int))];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &(int){1}, sizeof(int));
    sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// A guess at the socket in the folder, whose name everybody sees; nobody else can look into it.
static void guess_path(void)
{
    DIR *folder = opendir("/tmp");
    struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        if (strncmp(entry->d_name, "sockeye-", 8) != 0)
            continue;
        snprintf(at.sun_path, sizeof at.sun_path, "/tmp/%.40s/%08x%08x%08x%08x.ctl", entry->d_name, chance(~0u),
                 chance(~0u), chance(~0u), chance(~0u));
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
        if (fd >= 0) {
            connect(fd, (struct sockaddr *)&at, sizeof at);
            close(fd);
        }
    }
    if (folder)
        closedir(folder);
}

static int decoy(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "%s", name);
    int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
    if (bind(listener, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))) < 0 ||
        listen(listener, 64) < 0)
        return 1;
    for (;;) {
        for (int i = 0; i < 16; i++) {
            int fd = accept4(listener, NULL, NULL, 0);
            if (fd >= 0)
                close(fd);
        }
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

int main(int n, char **arguments)
{
    if (n == 3 && strcmp(arguments[1], "--decoy") == 0)
        return decoy(arguments[2]);
    if (n > 2)
        wanted = arguments[2];
    int held[HELD];
    if (n > 1)
        dice ^= (uint32_t)atoi(arguments[1]) * 2654435761u;
    memset(held, -1, sizeof held);
    for (unsigned long turn = 0;; turn++) {
        if (turn % 4096 == 0)
            look();
        int fd = come();
        if (fd < 0) {
            // Full, or nothing of ours: names of others are guessed meanwhile.
            if (chance(8) == 0)
                guess_path();
            continue;
        }
        switch (chance(4)) {
        case 0: // without a word
            break;
        case 1:
            lend(fd);
            say(fd);
            break;
        default:
            say(fd);
        }
        int *place = &held[chance(HELD)];
        if (*place >= 0)
            close(*place);
        *place = fd;
    }
}
