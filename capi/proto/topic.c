#include "proto/topic.h"

#include "base/error.h"
#include "base/mem.h"
#include "proto/utf8.h"

/* ---- names */

static int shown(cl_str name)
{
    return name.n < 80 ? (int)name.n : 80;
}

static int refuse(const char *what, cl_str name, const char *why)
{
    return cl_error(CLOUDS_EINVAL, "the %s '%.*s' %s", what, shown(name), name.p, why);
}

static int is_utf8(cl_str s)
{
    for (const char *p = s.p, *end = s.p + s.n; p < end;) {
        int n = cl_utf8_sequence(p, end);
        if (n < 0) return 0;
        p += n;
    }
    return 1;
}

static int check_text(const char *what, cl_str name)
{
    if (name.n == 0) return cl_error(CLOUDS_EINVAL, "the %s is empty", what);
    if (name.n > CL_TOPIC_MAX)
        return cl_error_limit(CLOUDS_EINVAL, name.n, CL_TOPIC_MAX, "the %s has %zu bytes, at most %d are possible",
                              what, name.n, CL_TOPIC_MAX);
    if (!is_utf8(name)) return cl_error(CLOUDS_EINVAL, "the %s is not valid UTF-8", what);
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < ' ' || name.p[i] == 0x7f)
            return cl_error(CLOUDS_EINVAL, "the %s has a control character at byte %zu", what, i);
    return 0;
}

/* Takes the first token off. */
static cl_str next_token(cl_str *rest)
{
    const char *dot = memchr(rest->p, '.', rest->n);
    cl_str token = {rest->p, dot ? (size_t)(dot - rest->p) : rest->n};
    *rest = dot ? (cl_str){dot + 1, rest->n - token.n - 1} : CL_STR_NONE;
    return token;
}

static int is_one(cl_str token)
{
    return token.n == 1 && token.p[0] == '*';
}

static int is_rest(cl_str token)
{
    return token.n == 1 && token.p[0] == '>';
}

static int has_wildcard(cl_str token)
{
    return memchr(token.p, '*', token.n) || memchr(token.p, '>', token.n);
}

static int check_tokens(const char *what, cl_str name, int wildcards)
{
    if (name.p[name.n - 1] == '.') return refuse(what, name, "ends with a dot");
    for (cl_str rest = name; rest.n;) {
        cl_str token = next_token(&rest);
        if (token.n == 0) return refuse(what, name, "has an empty token");
        if (!has_wildcard(token)) continue;
        if (!wildcards) return refuse(what, name, "has a wildcard, and only a subscription may have one");
        if (!is_one(token) && !is_rest(token)) return refuse(what, name, "has a wildcard that is no whole token");
        if (is_rest(token) && rest.n) return refuse(what, name, "has something behind '>'");
    }
    return 0;
}

static int check(const char *what, cl_str name, int wildcards)
{
    int code = check_text(what, name);
    if (code == 0 && name.p[0] == '$') code = refuse(what, name, "begins with '$', which is for names of the library");
    return code ? code : check_tokens(what, name, wildcards);
}

int cl_topic_check(cl_str topic)
{
    return check("topic", topic, 0);
}

int cl_topic_check_pattern(cl_str pattern)
{
    return check("topic", pattern, 1);
}

int cl_topic_check_group(cl_str group)
{
    return check_text("group", group);
}

int cl_topic_is_pattern(cl_str pattern)
{
    return has_wildcard(pattern);
}

int cl_topic_matches(cl_str pattern, cl_str topic)
{
    while (pattern.n && topic.n) {
        cl_str wanted = next_token(&pattern), token = next_token(&topic);
        if (is_rest(wanted)) return 1;
        if (!is_one(wanted) && !cl_str_eq(wanted, token)) return 0;
    }
    return pattern.n == topic.n;
}

/* ---- the tree */

struct cl_topic_branch {
    cl_topic_branch *parent;
    cl_strmap branches; /* by token; those of wildcards too, which no token of a topic is */
    cl_topic_branch *one, *rest;
    cl_list_node leaves;
    cl_str token;
    char text[];
};

static cl_topic_branch *branch_new(cl_topic_branch *parent, cl_str token)
{
    cl_topic_branch *branch = cl_calloc(1, sizeof *branch + token.n);
    if (!branch) return NULL;
    branch->parent = parent;
    cl_list_init(&branch->leaves);
    if (token.n) memcpy(branch->text, token.p, token.n);
    branch->token = cl_str_of(branch->text, token.n);
    if (!parent || cl_strmap_put(&parent->branches, branch->token, branch) == 0) return branch;
    cl_free(branch);
    return NULL;
}

static cl_topic_branch *grow(cl_topic_branch *from, cl_str token)
{
    cl_topic_branch *branch = cl_strmap_get(&from->branches, token);
    if (branch) return branch;
    branch = branch_new(from, token);
    if (branch && is_one(token)) from->one = branch;
    if (branch && is_rest(token)) from->rest = branch;
    return branch;
}

/* Branches without anything on them go. */
static void prune(cl_topic_tree *tree, cl_topic_branch *branch)
{
    while (branch && cl_list_empty(&branch->leaves) && branch->branches.len == 0) {
        cl_topic_branch *parent = branch->parent;
        if (!parent) {
            tree->root = NULL;
        } else {
            cl_strmap_take(&parent->branches, branch->token);
            if (parent->one == branch) parent->one = NULL;
            if (parent->rest == branch) parent->rest = NULL;
        }
        cl_strmap_free(&branch->branches);
        cl_free(branch);
        branch = parent;
    }
}

int cl_topic_tree_add(cl_topic_tree *tree, cl_str pattern, cl_topic_leaf *leaf)
{
    if (!tree->root) tree->root = branch_new(NULL, CL_STR_NONE);
    cl_topic_branch *at = tree->root;
    for (cl_str rest = pattern; at && rest.n;) {
        cl_topic_branch *next = grow(at, next_token(&rest));
        if (!next) {
            prune(tree, at);
            return CLOUDS_ENOMEM;
        }
        at = next;
    }
    if (!at) return CLOUDS_ENOMEM;
    leaf->branch = at;
    cl_list_append(&at->leaves, &leaf->place);
    return 0;
}

void cl_topic_tree_remove(cl_topic_tree *tree, cl_topic_leaf *leaf)
{
    cl_topic_branch *branch = leaf->branch;
    if (!branch) return;
    leaf->branch = NULL;
    cl_list_remove(&leaf->place);
    prune(tree, branch);
}

typedef struct match {
    void (*each)(void *self, cl_topic_leaf *leaf);
    void *self;
} match;

static void visit(const cl_topic_branch *branch, const match *m)
{
    CL_LIST_EACH(it, &branch->leaves) m->each(m->self, CL_OWNER(it, cl_topic_leaf, place));
}

/* As deep as a topic has tokens, which are at most half of its bytes. A branch is on one way only, so none is met
 * twice.
 */
static void walk(const cl_topic_branch *branch, cl_str topic, const match *m)
{
    if (topic.n == 0) {
        visit(branch, m);
        return;
    }
    if (branch->rest) visit(branch->rest, m);
    cl_str token = next_token(&topic);
    const cl_topic_branch *same = cl_strmap_get(&branch->branches, token);
    if (same) walk(same, topic, m);
    if (branch->one) walk(branch->one, topic, m);
}

void cl_topic_tree_match(const cl_topic_tree *tree, cl_str topic, void (*each)(void *self, cl_topic_leaf *leaf),
                         void *self)
{
    if (tree->root) walk(tree->root, topic, &(match){each, self});
}
