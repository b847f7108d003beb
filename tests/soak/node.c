// The soak's own program: server, client, or a client that measures, by its arguments. Built twice: with a stack
// inside, and for the kernel's sockets, which `sockeye run` makes those of a hosted stack.
#include "node.h"

volatile sig_atomic_t is_over;

static void on_signal(int number)
{
    (void)number;
    is_over = 1;
}

int main(int count, char **arguments)
{
    struct sigaction end = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGINT, &end, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (count == 3 && strcmp(arguments[1], "serve") == 0)
        return serve(atoi(arguments[2]));
    if (count == 5 && strcmp(arguments[1], "load") == 0)
        return load(arguments[2], atoi(arguments[3]), (uint32_t)atoi(arguments[4]));
    if (count == 6 && strcmp(arguments[1], "trips") == 0)
        return trips(arguments[2], arguments[3], atoi(arguments[4]), atof(arguments[5]));
    fprintf(stderr, "usage: %s serve PORT | load ADDRESS PORT SEED | trips bytes|connections ADDRESS PORT SECONDS\n",
            arguments[0]);
    return 2;
}
