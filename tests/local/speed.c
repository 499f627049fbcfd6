/* How many calls a second two processes exchange over the local bus alone, at some numbers outstanding. Prints; fails
 * only when something is lost. Arguments: seconds for each, then numbers outstanding. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "local/folder.h"
#include "local/side.h"

static side client;
static int node;
static long sent;

static void serve(int out)
{
    side s;
    int mine;
    if (side_start(&s, CL_URL_LOCAL, "t", NULL) != 0) _exit(1);
    s.answer = 1;
    side_node(&s, &mine, "s.1");
    if (write(out, "x", 1) != 1) _exit(2);
    for (;;) cl_loop_run(s.loop, -1);
}

static void exchange(int outstanding, double seconds)
{
    int64_t from = cl_loop_now(), until = from + (int64_t)(seconds * 1000);
    sent = client.envelopes = 0;
    while (cl_loop_now() < until) {
        for (; sent - client.envelopes < outstanding; sent++)
            if (side_call(&client, &node, "c.1", "s.1", "[1,2]", 0) != 0) break;
        cl_loop_run(client.loop, 100);
    }
    double took = (double)(cl_loop_now() - from) / 1000;
    printf("# %d outstanding: %.0f calls per second\n", outstanding, (double)client.envelopes / took);
    int64_t limit = cl_loop_now() + 10000;
    while (client.envelopes < sent && cl_loop_now() < limit) cl_loop_run(client.loop, 100);
    CHECK_INT(client.envelopes, sent);
}

static double seconds = 0.3;
static int numbers[8] = {1, 100, 1000}, numbers_n = 3;

static void rates(void)
{
    for (int i = 0; i < numbers_n; i++) exchange(numbers[i], seconds);
}

int main(int argc, char **argv)
{
    folder_begin();
    if (argc > 1) seconds = atof(argv[1]);
    if (argc > 2) numbers_n = 0;
    for (int i = 2; i < argc && numbers_n < 8; i++) numbers[numbers_n++] = atoi(argv[i]);
    int ready[2];
    char x;
    if (pipe(ready) != 0) return 98;
    pid_t pid = fork();
    if (pid == 0) serve(ready[1]);
    if (read(ready[0], &x, 1) != 1 || side_start(&client, CL_URL_LOCAL, "t", NULL) != 0) return 97;
    client.quiet = 1;
    side_node(&client, &node, "c.1");
    RUN(rates);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    side_end(&client);
    return folder_end();
}
