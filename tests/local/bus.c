/* Two and more local buses in one process. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "local/inside.h"
#include "local/pair.h"

static void a_call_and_its_answer(void)
{
    side a, b;
    int node_a, node_b;
    start_both(&a, &node_a, "s.1", &b, &node_b, "c.1");
    ask(&a, CL_STR("m"));
    ask(&b, CL_STR("m"));
    CHECK_INT(b.list_n, 0);
    side_register(&a, &node_a, "m");
    UNTIL2(&a, &b, b.server_ups == 1 && a.server_ups == 1);
    CHECK_STR(b.last_up, strlen(b.last_up), "s.1");
    b.bus->ops->lookup(b.bus, CL_STR("m"), 0);
    b.bus->ops->lookup(b.bus, CL_STR("m"), 1);
    CHECK_INT(b.lists, 1);
    UNTIL(&b, b.lists == 2);
    CHECK_STR(b.list, strlen(b.list), "s.1 ");
    a.answer = 1;
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.1", "[1,2]", 9), 0);
    UNTIL2(&a, &b, b.envelopes == 1);
    CHECK_STR(b.last_args, strlen(b.last_args), "[1,2]");
    CHECK_STR(b.last_from, strlen(b.last_from), "s.1");
    CHECK_INT(b.last.type, CL_RESULT);
    CHECK_INT(b.deliveries[CL_DELIVERY_WRITTEN] + b.deliveries[CL_DELIVERY_NOBODY] + b.deliveries[CL_DELIVERY_NOT_SENT],
              0);
    a.bus->ops->node_close(a.bus, &node_a);
    UNTIL2(&a, &b, a.node_closed == 1 && b.server_downs == 1);
    b.bus->ops->lookup(b.bus, CL_STR("m"), 0);
    UNTIL(&b, b.lists == 3);
    CHECK_INT(b.list_n, 0);
    a.bus->ops->close(a.bus);
    b.bus->ops->close(b.bus);
    UNTIL2(&a, &b, a.closed && b.closed);
    CHECK_INT(b.node_closed, 1);
    end_both(&a, &b);
    CHECK_INT(files_left(), 0);
}

/* The caller's node is in the same context as the server's. */
static void a_node_calls_its_neighbour(void)
{
    side a;
    int one, two;
    START(&a);
    side_node(&a, &one, "s.1");
    side_node(&a, &two, "c.1");
    side_register(&a, &one, "m");
    a.bus->ops->lookup(a.bus, CL_STR("m"), 0);
    UNTIL(&a, a.lists == 1);
    CHECK_INT(a.list_n, 1);
    a.answer = 1;
    CHECK_INT(side_call(&a, &two, "c.1", "s.1", "[true]", 0), 0);
    UNTIL(&a, a.envelopes == 2);
    CHECK_STR(a.last_args, strlen(a.last_args), "[true]");
    side_end(&a);
    CHECK_INT(files_left(), 0);
}

static void messages_and_their_deliveries(void)
{
    side a, b;
    int node_a, node_b;
    start_both(&a, &node_a, "b.1", &b, &node_b, "b.2");
    CHECK_INT(side_message(&b, &node_b, "b.2", "b.1", "{\"x\":1}", 5), 0);
    CHECK_INT(b.deliveries[CL_DELIVERY_WRITTEN], 0);
    UNTIL2(&a, &b, a.envelopes == 1 && b.deliveries[CL_DELIVERY_WRITTEN] == 1);
    CHECK_INT(b.delivery_number, 1);
    CHECK_STR(a.last_args, strlen(a.last_args), "{\"x\":1}");
    CHECK_INT(side_message(&b, &node_b, "b.2", "b.1", "2", 6), 0);
    UNTIL2(&a, &b, a.envelopes == 2 && b.deliveries[CL_DELIVERY_WRITTEN] == 2);
    CHECK_INT(side_message(&b, &node_b, "b.2", "nobody", "2", 7), 0);
    UNTIL2(&a, &b, b.deliveries[CL_DELIVERY_NOBODY] == 1);
    /* Written before the end, though it is closed at once. */
    CHECK_INT(side_message(&a, &node_a, "b.1", "b.2", "\"last\"", 8), 0);
    a.bus->ops->node_close(a.bus, &node_a);
    UNTIL2(&a, &b, a.node_closed && b.envelopes == 1);
    CHECK_STR(b.last_args, strlen(b.last_args), "\"last\"");
    end_both(&a, &b);
}

static void names_of_any_bytes(void)
{
    side a, b;
    int node_a, node_b;
    static char long_name[301];
    memset(long_name, '/', 300);
    start_both(&a, &node_a, "../../etc/x y\n%00\xc3\xa9", &b, &node_b, "c.1");
    ask(&b, CL_STR("../a b*?\x01%41"));
    ask(&b, cl_str_z(long_name));
    ask(&b, CL_STR(""));
    ask(&b, cl_str_of("x\0y", 3));
    side_register(&a, &node_a, "../a b*?\x01%41");
    side_register(&a, &node_a, long_name);
    side_register(&a, &node_a, "");
    CHECK_INT(a.bus->ops->register_method(a.bus, &node_a, cl_str_of("x\0y", 3), 1), 0);
    UNTIL2(&a, &b, b.server_ups == 4);
    ask(&b, cl_str_of("x\0y", 3));
    CHECK_INT(b.list_n, 1);
    CHECK_STR(b.list, strlen(b.list), "../../etc/x y\n%00\xc3\xa9 ");
    ask(&b, cl_str_z(long_name));
    CHECK_INT(b.list_n, 1);
    a.answer = 1;
    CHECK_INT(side_call(&b, &node_b, "c.1", "../../etc/x y\n%00\xc3\xa9", "[]", 0), 0);
    UNTIL2(&a, &b, b.envelopes == 1);
    static char endless[5001];
    memset(endless, 'e', 5000);
    CHECK_INT(a.bus->ops->register_method(a.bus, &node_a, cl_str_z(endless), 1), CLOUDS_ETOOBIG);
    CHECK_INT(a.bus->ops->unregister_method(a.bus, &node_a, CL_STR(""), 1), 0);
    UNTIL2(&a, &b, b.server_downs == 1);
    end_both(&a, &b);
    CHECK_INT(files_left(), 0);
}

static void status_lists_all(void)
{
    side a, b;
    int node_a, node_b;
    START(&a);
    side_node(&a, &node_a, "s.1");
    side_node(&a, &node_b, "s.2");
    side_register(&a, &node_a, "m");
    side_register(&a, &node_b, "m");
    side_register(&a, &node_b, "n");
    START(&b); /* finds what was there before it */
    b.bus->ops->status(b.bus, 3);
    UNTIL(&b, b.status_ends == 1);
    CHECK_INT(b.status_rows, 3);
    CHECK(strstr(b.rows, "m@s.1 ") && strstr(b.rows, "m@s.2 ") && strstr(b.rows, "n@s.2 "));
    side_end(&a);
    b.status_rows = 0;
    b.bus->ops->status(b.bus, 4);
    UNTIL(&b, b.status_ends == 2);
    CHECK_INT(b.status_rows, 0);
    side_end(&b);
}

static void draining_is_told_on_every_link(void)
{
    side a, b;
    int node_a, node_b;
    start_both(&a, &node_a, "s.1", &b, &node_b, "c.1");
    side_register(&a, &node_a, "m");
    ask(&b, CL_STR("m"));
    side_call(&b, &node_b, "c.1", "s.1", "[]", 0);
    UNTIL2(&a, &b, a.envelopes == 1);
    a.bus->ops->node_drain(a.bus, &node_a);
    UNTIL2(&a, &b, b.drainings == 1 && b.server_downs == 1);
    CHECK_STR(b.peer, strlen(b.peer), "s.1");
    /* It still answers what it accepted. */
    cl_envelope r = {.type = CL_RESULT,
                     .from = CL_STR("s.1"),
                     .to = CL_STR("c.1"),
                     .id = CL_STR("1"),
                     .result = CL_STR("[3]"),
                     .link = a.last_link};
    CHECK_INT(a.bus->ops->send(a.bus, &node_a, &r, 0), 0);
    UNTIL2(&a, &b, b.envelopes == 1);
    CHECK_STR(b.last_args, strlen(b.last_args), "[3]");
    end_both(&a, &b);
}

/* The way back is gone: the result goes to the node by its name. */
static void a_result_without_its_link(void)
{
    side a, b;
    int node_a, node_b;
    start_both(&a, &node_a, "s.1", &b, &node_b, "c.1");
    cl_envelope r = {.type = CL_RESULT,
                     .from = CL_STR("s.1"),
                     .to = CL_STR("c.1"),
                     .id = CL_STR("1"),
                     .result = CL_STR("[4]"),
                     .link = 12345};
    CHECK_INT(a.bus->ops->send(a.bus, &node_a, &r, 0), 0);
    UNTIL2(&a, &b, b.envelopes == 1);
    CHECK_STR(b.last_args, strlen(b.last_args), "[4]");
    end_both(&a, &b);
}

static side serving;
static int old_node, new_node, has_changed;

/* At the first memory for an entry, which is when the folder was looked at, and before what it has is read. */
static void *change_servers(void *self, void *block, size_t size)
{
    if (size >= CL_ENTRY_MAX && !has_changed) {
        has_changed = 1;
        CHECK_INT(serving.bus->ops->register_method(serving.bus, &new_node, CL_STR("m"), 1), 0);
        serving.bus->ops->node_drain(serving.bus, &old_node);
    }
    if (size) return realloc(block, size);
    free(block);
    return NULL;
}

/* There is a server at each moment, and one is found: the one that came while the other, which was found first, went. */
static void one_takes_the_place_of_another(void)
{
    side b;
    START(&serving);
    START(&b);
    side_node(&serving, &old_node, "s.old");
    side_node(&serving, &new_node, "s.new");
    side_register(&serving, &old_node, "m");
    cl_mem_hook(change_servers, NULL);
    ask(&b, CL_STR("m"));
    cl_mem_hook(NULL, NULL);
    CHECK(has_changed);
    CHECK_STR(b.list, strlen(b.list), "s.new ");
    end_both(&serving, &b);
}

/* A lock names what was offered, without growing for ever where services are offered and taken back all the time. */
static void offered_and_taken_back(void)
{
    enum { TIMES = 5000 };
    side a;
    int node;
    char method[32], path[160], key[CL_KEY + 1];
    struct stat s;
    START(&a);
    side_node(&a, &node, "s.1");
    side_register(&a, &node, "stays");
    for (int i = 0; i < TIMES; i++) {
        snprintf(method, sizeof method, i % 2 ? "same" : "other.%d", i);
        CHECK_INT(a.bus->ops->register_method(a.bus, &node, cl_str_z(method), 1), 0);
        CHECK_INT(a.bus->ops->unregister_method(a.bus, &node, cl_str_z(method), 1), 0);
    }
    UNTIL(&a, a.registered == 2 * TIMES + 1);
    side_register(&a, &node, "same");
    CHECK_INT(files_left(), 4);
    cl_file_key(CL_STR("s.1"), key);
    snprintf(path, sizeof path, "%s/t/%s.lock", folder, key);
    CHECK_INT(stat(path, &s), 0);
    CHECK(s.st_size > 2 * (CL_KEY + 1) && s.st_size < 1100 * (CL_KEY + 1));
    /* Who finds it dead learns all its methods from it. */
    int lock = open(path, O_RDONLY);
    cl_file_remove_node(&folder_of(a.bus)->folder, key, lock);
    close(lock);
    CHECK_INT(files_left(), 0);
    UNTIL(&a, files_left() == 4); /* and who lives puts it back */
    side_end(&a);
    CHECK_INT(files_left(), 0);
}

static void an_id_in_use(void)
{
    side a, b;
    int node_a, node_b;
    START(&a);
    START(&b);
    side_node(&a, &node_a, "s.1");
    CHECK_INT(b.bus->ops->node_open(b.bus, &node_b, CL_STR("s.1"), 1), 0);
    UNTIL(&b, b.ready == 1);
    CHECK_INT(b.ready_code, CLOUDS_EEXIST);
    char holder[64];
    snprintf(holder, sizeof holder, "s.1 is in use by process %ld", (long)getpid());
    CHECK(strstr(b.words, holder) != NULL);
    CHECK_INT(b.bus->ops->register_method(b.bus, &node_b, CL_STR("m"), 1), CLOUDS_EEXIST);
    CHECK(strstr(clouds_last_error(), holder) != NULL);
    /* The same in one bus. */
    CHECK_INT(a.bus->ops->node_open(a.bus, &node_b, CL_STR("s.1"), 1), 0);
    UNTIL(&a, a.ready == 2);
    CHECK_INT(a.ready_code, CLOUDS_EEXIST);
    CHECK(strstr(a.words, holder) != NULL);
    CHECK_INT(a.bus->ops->register_method(a.bus, &node_b, CL_STR("m"), 1), CLOUDS_EEXIST);
    a.bus->ops->node_close(a.bus, &node_b);
    UNTIL(&a, a.node_closed == 1);
    side_register(&a, &node_a, "m"); /* the first is as it was */
    CHECK_INT(a.bus->ops->unregister_method(a.bus, &node_a, CL_STR("m"), 1), 0);
    side_end(&b);
    CHECK(files_left() == 2); /* the other's lock and socket */
    side_end(&a);
}

static int highest_descriptor(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

/* Errors of the system are told with the path and its words, by the node and by whatever is asked of it. */
static void no_descriptor_is_left(void)
{
    side a;
    int node;
    struct rlimit limit, few;
    START(&a);
    CHECK_INT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    few = (struct rlimit){(rlim_t)highest_descriptor(), limit.rlim_max};
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
    CHECK_INT(a.bus->ops->node_open(a.bus, &node, CL_STR("s.few"), 1), 0);
    UNTIL(&a, a.ready == 1);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_INT(a.ready_code, CLOUDS_ESYSTEM);
    CHECK(strstr(a.words, folder) && strstr(a.words, strerror(EMFILE)));
    CHECK_INT(a.bus->ops->register_method(a.bus, &node, CL_STR("m"), 1), CLOUDS_ESYSTEM);
    CHECK(strstr(clouds_last_error(), strerror(EMFILE)) != NULL);
    side_end(&a);
    CHECK_INT(files_left(), 0);
}

/* A file in the way of an entry's note, as on a full disk: the registration says so, and the next one is sound. */
static void nothing_can_be_written(void)
{
    side a;
    int node;
    struct rlimit limit, none;
    START(&a);
    side_node(&a, &node, "s.full");
    CHECK_INT(getrlimit(RLIMIT_FSIZE, &limit), 0);
    none = (struct rlimit){0, limit.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &none), 0);
    CHECK_INT(a.bus->ops->register_method(a.bus, &node, CL_STR("m"), 1), CLOUDS_ESYSTEM);
    CHECK_INT(setrlimit(RLIMIT_FSIZE, &limit), 0);
    CHECK(strstr(clouds_last_error(), folder) && strstr(clouds_last_error(), strerror(EFBIG)));
    CHECK_INT(files_left(), 2);
    side_register(&a, &node, "m");
    ask(&a, CL_STR("m"));
    CHECK_INT(a.list_n, 1);
    side_end(&a);
    CHECK_INT(files_left(), 0);
}

static void limits_of_a_send(void)
{
    side a, b;
    int node_a, node_b;
    cl_limits limits = side_limits();
    limits.message = 2000;
    limits.write_soft = 500;
    limits.write_hard = 5000;
    START(&a);
    CHECK_INT(side_start(&b, CL_URL_LOCAL, "t", &limits), 0);
    side_node(&a, &node_a, "s.1");
    side_node(&b, &node_b, "c.1");
    char big[2100] = "[";
    memset(big + 1, ' ', sizeof big - 3);
    big[sizeof big - 2] = ']';
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.1", big, 0), CLOUDS_ETOOBIG);
    CHECK(strstr(clouds_last_error(), "2000") != NULL);
    big[1000] = ']';
    big[1001] = 0;
    int code = 0, sent = 0; /* the link is not open yet: they wait, and there is room for a burst */
    while ((code = side_call(&b, &node_b, "c.1", "s.1", big, 0)) == 0 && sent < 100) sent++;
    CHECK_INT(code, CLOUDS_ELIMIT);
    CHECK(sent >= 3 && sent <= 5);
    CHECK(strstr(clouds_last_error(), "write_hard") != NULL);
    UNTIL2(&a, &b, a.envelopes == sent);
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.1", big, 0), 0);
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.1", big, 0), CLOUDS_ELIMIT);
    CHECK(strstr(clouds_last_error(), "write_soft") != NULL);
    UNTIL2(&a, &b, a.envelopes == sent + 1);
    end_both(&a, &b);
}

/* A link that breaks loses what it has carried, and nothing else. */
static void what_the_kernel_did_not_take(void)
{
    side a, b;
    int node_a, node_b;
    static char big[4001];
    memset(big, ' ', sizeof big - 1);
    big[0] = '[', big[sizeof big - 2] = ']';
    start_both(&a, &node_a, "s.1", &b, &node_b, "c.1");
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.1", "[]", 1), 0);
    UNTIL2(&a, &b, a.envelopes == 1);
    int sent = 1;
    while (side_call(&b, &node_b, "c.1", "s.1", big, (uint64_t)sent + 1) == 0) sent++; /* a does not read */
    side_end(&a);
    UNTIL(&b, b.peer_downs == 1);
    CHECK(b.deliveries[CL_DELIVERY_NOT_SENT] > 100); /* about write_soft bytes of them */
    CHECK(b.deliveries[CL_DELIVERY_NOT_SENT] < sent);
    CHECK_INT(b.deliveries[CL_DELIVERY_LOST] + b.deliveries[CL_DELIVERY_NOBODY], 0);
    CHECK(b.delivery_order < b.down_order); /* told before the rest counts as lost */
    side_end(&b);
}

/* The other end is gone, but that was not read yet: nothing is written for nobody. */
static void nothing_leaves_for_who_is_gone(void)
{
    side a, b;
    int node_a, node_b;
    start_both(&a, &node_a, "s.1", &b, &node_b, "c.1");
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.1", "[]", 1), 0);
    UNTIL2(&a, &b, a.envelopes == 1);
    side_end(&a);
    for (uint64_t i = 2; i < 602; i++)
        CHECK_INT(side_call(&b, &node_b, "c.1", "s.1", "[]", i), 0); /* in several writes */
    UNTIL(&b, b.peer_downs == 1);
    CHECK_INT(b.deliveries[CL_DELIVERY_NOT_SENT], 600);
    side_end(&b);
}

/* The queues of all links together are bounded too: one that holds nothing yet takes one message more. */
static void limits_of_all_queues(void)
{
    side b;
    int node_b, sent = 0, code = 0;
    cl_limits limits = side_limits();
    limits.write_hard = 10000;
    CHECK_INT(side_start(&b, CL_URL_LOCAL, "t", &limits), 0);
    side_node(&b, &node_b, "c.1");
    char args[1000] = "[", id[16];
    memset(args + 1, ' ', sizeof args - 3);
    args[sizeof args - 2] = ']';
    for (int round = 0; round < 9; round++) /* nobody listens there, but that is not known yet */
        for (int i = 0; i < 40; i++) {
            snprintf(id, sizeof id, "s.%d", i);
            int last = side_call(&b, &node_b, "c.1", id, args, 1);
            if (last == 0) sent++;
            else code = last;
        }
    CHECK_INT(code, CLOUDS_ELIMIT);
    CHECK(strstr(clouds_last_error(), "for all nodes together") != NULL);
    CHECK(sent > 70 && sent < 85);
    UNTIL(&b, b.deliveries[CL_DELIVERY_NOBODY] == sent);
    CHECK_INT(links_of(b.bus)->out_bytes, 0);
    side_end(&b);
}

static void what_is_overdue_is_not_sent(void)
{
    side a, b;
    int node_a, node_b;
    start_both(&a, &node_a, "s.1", &b, &node_b, "c.1");
    cl_envelope e = {.type = CL_CALL,
                     .from = CL_STR("c.1"),
                     .to = CL_STR("s.1"),
                     .id = CL_STR("1"),
                     .method = CL_STR("m"),
                     .args = CL_STR("[]"),
                     .deadline = cl_loop_now() - 1};
    CHECK_INT(b.bus->ops->send(b.bus, &node_b, &e, 4), 0);
    CHECK_INT(side_call(&b, &node_b, "c.1", "s.1", "[2]", 5), 0);
    UNTIL2(&a, &b, a.envelopes == 1 && b.deliveries[CL_DELIVERY_NOT_SENT] == 1);
    CHECK_STR(a.last_args, strlen(a.last_args), "[2]");
    end_both(&a, &b);
}

/* ---- folders */

static int try_folder(void)
{
    side s;
    int code = side_start(&s, CL_URL_LOCAL, "", NULL);
    side_end(&s);
    return code;
}

static void runtime_folders(void)
{
    char path[200], link[220];
    snprintf(path, sizeof path, "%s/not there/deep", folder);
    setenv("CLOUDS_RUNTIME_DIR", path, 1);
    CHECK_INT(try_folder(), CLOUDS_ESYSTEM);
    CHECK(strstr(clouds_last_error(), path) != NULL);
    setenv("CLOUDS_RUNTIME_DIR", "relative", 1);
    CHECK_INT(try_folder(), CLOUDS_ESYSTEM);
    snprintf(path, sizeof path, "%s/real", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    mkdir(path, 0777);
    CHECK_INT(symlink(path, link), 0);
    setenv("CLOUDS_RUNTIME_DIR", link, 1);
    CHECK_INT(try_folder(), CLOUDS_ESYSTEM);
    CHECK(strstr(clouds_last_error(), "is not a folder of user") != NULL);
    setenv("CLOUDS_RUNTIME_DIR", path, 1);
    chmod(path, 0777);
    CHECK_INT(try_folder(), 0);
    struct stat s;
    CHECK(stat(path, &s) == 0 && (s.st_mode & 0777) == 0777); /* not ours to change */
    snprintf(link, sizeof link, "%s/default", path);
    CHECK(stat(link, &s) == 0 && (s.st_mode & 077) == 0);
    chmod(link, 0755);
    CHECK_INT(try_folder(), CLOUDS_ESYSTEM);
    CHECK(strstr(clouds_last_error(), "is open to other users (mode 755)") != NULL);
    CHECK(stat(link, &s) == 0 && (s.st_mode & 0777) == 0755);
    chmod(link, 0700);
    if (geteuid() == 0) { /* foreign-owned */
        CHECK_INT(chown(path, 12345, 12345), 0);
        CHECK_INT(try_folder(), CLOUDS_ESYSTEM);
        CHECK_INT(chown(path, 0, 0), 0);
    }
    snprintf(path, sizeof path, "%s/", folder);
    memset(path + strlen(path), 'p', 120);
    path[strlen(folder) + 121] = 0;
    setenv("CLOUDS_RUNTIME_DIR", path, 1);
    side a;
    int node;
    CHECK_INT(side_start(&a, CL_URL_LOCAL, "", NULL), 0);
    CHECK_INT(a.bus->ops->node_open(a.bus, &node, CL_STR("s.1"), 1), 0);
    UNTIL(&a, a.ready == 1);
    CHECK_INT(a.ready_code, 0); /* longer than a socket's address, and usable all the same */
    side_end(&a);
    /* One place, with a login and without. */
    unsetenv("CLOUDS_RUNTIME_DIR");
    char common[64];
    snprintf(common, sizeof common, "/tmp/clouds-%ld/default", (long)geteuid());
    for (int login = 0; login < 2; login++) {
        if (login) setenv("XDG_RUNTIME_DIR", folder, 1);
        else unsetenv("XDG_RUNTIME_DIR");
        CHECK_INT(side_start(&a, CL_URL_LOCAL, "", NULL), 0);
        CHECK_STR(folder_of(a.bus)->folder.path, strlen(common), common);
        side_end(&a);
    }
    setenv("CLOUDS_RUNTIME_DIR", folder, 1);
}

int main(void)
{
    folder_begin();
    RUN(a_call_and_its_answer);
    RUN(a_node_calls_its_neighbour);
    RUN(messages_and_their_deliveries);
    RUN(names_of_any_bytes);
    RUN(status_lists_all);
    RUN(draining_is_told_on_every_link);
    RUN(a_result_without_its_link);
    RUN(one_takes_the_place_of_another);
    RUN(offered_and_taken_back);
    RUN(an_id_in_use);
    RUN(no_descriptor_is_left);
    RUN(nothing_can_be_written);
    RUN(limits_of_a_send);
    RUN(what_the_kernel_did_not_take);
    RUN(nothing_leaves_for_who_is_gone);
    RUN(limits_of_all_queues);
    RUN(what_is_overdue_is_not_sent);
    RUN(runtime_folders);
    return folder_end();
}
