// Every way to a socket of the kernel's network that a program on a stack could try, and what each says. Without
// arguments: all of them; the arguments are programs to start with execve(2), called by no function of libc, as
// children with an empty environment. As a child ("child" is its first argument): only whether there is such a socket.
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int barrier[2];

static const char *name_of(long result)
{
    switch (result) {
    case -EAFNOSUPPORT: return "EAFNOSUPPORT";
    case -ENOSYS: return "ENOSYS";
    case -EPERM: return "EPERM";
    default: return result >= 0 ? "open" : strerror(-result);
    }
}

static long call(long number, long a, long b, long c)
{
    long result = number;
#if defined __x86_64__
    __asm__ volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
#else
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    result = x0;
#endif
    return result;
}

static void say(const char *way, long result)
{
    printf("%s: %s\n", way, name_of(result));
    fflush(stdout);
    if (result >= 0)
        call(SYS_close, result, 0, 0);
}

static void *a_thread_that_was_there_before(void *unused)
{
    char byte;
    (void)unused;
    if (read(barrier[0], &byte, 1) == 1)
        say("a thread that was there before", call(SYS_socket, AF_INET, SOCK_STREAM, 0));
    return NULL;
}

static void start(const char *program)
{
    pid_t pid = fork();
    if (pid == 0) {
        const char *arguments[] = {program, "child", NULL}, *variables[] = {NULL};
        call(SYS_execve, (long)program, (long)arguments, (long)variables);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
}

int main(int count, char **arguments)
{
    pthread_t thread;
    char parameters[256] = {0}, command[4096];

    if (count > 1 && strcmp(arguments[1], "child") == 0) {
        say(strrchr(arguments[0], '/') + 1, call(SYS_socket, AF_INET, SOCK_STREAM, 0));
        return 0;
    }
    if (pipe(barrier) < 0 || pthread_create(&thread, NULL, a_thread_that_was_there_before, NULL))
        return 1;
    say("socket of libc", socket(AF_INET, SOCK_STREAM, 0));
    if (write(barrier[1], "", 1) != 1 || pthread_join(thread, NULL))
        return 1;
    for (int family = 0; family < 64; family++)
        for (int type = 0; type <= SOCK_PACKET; type++) {
            long result = call(SYS_socket, family, type, 0);
            if (family != AF_UNIX && family != AF_NETLINK && result != -EAFNOSUPPORT)
                printf("family %d, type %d: %s\n", family, type, name_of(result));
            if (result >= 0)
                call(SYS_close, result, 0, 0);
        }
    say("AF_UNIX", call(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
    say("AF_NETLINK", call(SYS_socket, AF_NETLINK, SOCK_RAW, 0));
    say("io_uring_setup", call(SYS_io_uring_setup, 8, (long)parameters, 0));
#if defined __x86_64__
    say("x32", call(0x40000000 | SYS_socket, AF_INET, SOCK_STREAM, 0));
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(359), "b"(AF_INET), "c"(SOCK_STREAM), "d"(0) : "memory");
    say("i386", result);
    pid_t child = fork();
    if (child == 0)
        __asm__ volatile("int $0x80; ud2" : : "a"(252), "b"(3) : "memory");
    waitpid(child, &result, 0);
    printf("i386 exit_group: %d\n", WIFEXITED(result) ? WEXITSTATUS(result) : -1);
    fflush(stdout);
#endif
    for (int i = 1; i < count; i++)
        start(arguments[i]);
    clearenv();
    snprintf(command, sizeof command, "'%s' child", arguments[0]);
    return system(command);
}
