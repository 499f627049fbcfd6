/* What a method says of itself, and what of its arguments is not so. */
#include "proto/schema.h"

#include "base/error.h"
#include "base/mem.h"
#include "clouds.h"
#include "proto/type_text.h"
#include "support/locale.h"
#include "support/tap.h"

#include <string.h>

/* ---- types */

static const char *const types[][2] = {
    {"string", "{\"type\":\"string\"}"},
    {" integer ? ", "{\"type\":[\"integer\",\"null\"]}"},
    {"any", "{}"},
    {"string|number|null", "{\"type\":[\"string\",\"number\",\"null\"]}"},
    {"\"a\"|\"b\\\"c\"", "{\"enum\":[\"a\",\"b\\\"c\"]}"},
    {"\"a\"?", "{\"anyOf\":[{\"enum\":[\"a\"]},{\"type\":\"null\"}]}"},
    {"number[][]", "{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":{\"type\":\"number\"}}}"},
    {"(string|null)[]", "{\"type\":\"array\",\"items\":{\"type\":[\"string\",\"null\"]}}"},
    {"{}", "{\"type\":\"object\",\"properties\":{}}"},
    {"{a: string, b?: any, \"c d\": null, e: boolean?}",
     "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"},\"b\":{},\"c d\":{\"type\":\"null\"},"
     "\"e\":{\"type\":[\"boolean\",\"null\"]}},\"required\":[\"a\",\"c d\"]}"},
    {"{[string]: integer}", "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}"},
    {"bytes", "{\"type\":\"object\",\"required\":[\"$bytes\"]}"},
};

static const char *const no_types[][2] = {
    {"", "and not nothing"},
    {"strin", "at strin"},
    {"string string", "expected the end, '|', '?' or '[]' at string"},
    {"string[", "expected ']'"},
    {"{a string}", "expected ':' and a type at string}"},
    {"{a: string", "expected ',' or '}'"},
    {"{: string}", "expected the name of a member"},
    {"{[number]: any}", "expected '[string]: ' and a type"},
    {"(string", "expected ')'"},
    {"\"a", "expected a text in quotes"},
    {"\"\\x\"", "expected a text in quotes"},
    {"string|", "at its end"},
    {"((((((((((((((((((((((((((((((((((string))))))))))))))))))))))))))))))))))", "nested more than 32 deep"},
};

static void what_types_are(void)
{
    int optional;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        cl_buf out = {0};
        CHECK_INT(cl_type_text_schema(cl_str_z(types[i][0]), &out, &optional), 0);
        CHECK_STR(out.data, out.len, types[i][1]);
        CHECK_INT(optional, strchr(types[i][0], '?') != NULL && types[i][0][0] != '{');
        cl_buf_free(&out);
    }
    for (size_t i = 0; i < sizeof no_types / sizeof *no_types; i++) {
        cl_buf out = {0};
        CHECK_INT(cl_type_text_schema(cl_str_z(no_types[i][0]), &out, &optional), CLOUDS_EINVAL);
        if (!CHECK(strstr(clouds_last_error(), no_types[i][1]) != NULL)) printf("# %s\n", clouds_last_error());
        cl_buf_free(&out);
    }
}

/* ---- declarations */

static cl_schema *schema_of(const char *text)
{
    cl_schema *schema = NULL;
    if (!CHECK(cl_schema_create(cl_str_z(text), &schema) == 0)) printf("# %s: %s\n", text, clouds_last_error());
    return schema;
}

static void what_is_told(void)
{
    static const char *const rows[][2] = {
        {"{}", "{}"},
        {"{\"doc\":\"Adds.\",\"args\":[\"a: number\",[\"b\",\"number?\",\"the other\"]],\"returns\":\"number\"}",
         "{\"doc\":\"Adds.\",\"args\":{\"type\":\"array\",\"prefixItems\":[{\"title\":\"a\",\"type\":\"number\"},"
         "{\"title\":\"b\",\"description\":\"the other\",\"type\":[\"number\",\"null\"]}],\"minItems\":1,\"items\":false},"
         "\"returns\":{\"type\":\"array\",\"prefixItems\":[{\"type\":\"number\"}],\"minItems\":1,\"items\":false}}"},
        {"{\"args\":[[\"a\",\"any\"],\"...more: string\"],\"returns\":[]}",
         "{\"args\":{\"type\":\"array\",\"prefixItems\":[{\"title\":\"a\"}],\"minItems\":1,\"items\":{\"title\":\"more\","
         "\"type\":\"string\"}},\"returns\":{\"type\":\"array\",\"items\":false}}"},
        {"{\"args\":[[\"a\",{\"type\":\"string\",\"maxLength\":3}]]}",
         "{\"args\":{\"type\":\"array\",\"prefixItems\":[{\"title\":\"a\",\"type\":\"string\",\"maxLength\":3}],"
         "\"minItems\":1,\"items\":false}}"},
        {"{\"args\":{\"type\":\"array\",\"maxItems\":2}}", "{\"args\":{\"type\":\"array\",\"maxItems\":2}}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cl_schema *schema = schema_of(rows[i][0]);
        if (schema) CHECK_STR(schema->text.data, schema->text.len, rows[i][1]);
        cl_schema_destroy(schema);
    }
}

static void what_is_no_schema(void)
{
    static const char *const rows[][2] = {
        {"{\"dok\":\"x\"}", "'dok' is not known; expected doc, args or returns"},
        {"{\"doc\":3}", "'doc': expected a text, got 3"},
        {"{\"args\":3}", "'args': expected an array, or JSON Schema, got 3"},
        {"{\"args\":[3]}", "expected \"name: type\" or [\"name\",type] for each argument, got 3"},
        {"{\"args\":[\"a\"]}", "expected \"name: type\", or [\"name\",\"type\"], got \"a\""},
        {"{\"args\":[[\"a\"]]}", "expected [\"name\",type]"},
        {"{\"args\":[[\"a\",\"any\",\"b\",\"c\"]]}", "expected [\"name\",type]"},
        {"{\"args\":[[\"a\",3]]}", "expected a type, as a text or as JSON Schema, got 3"},
        {"{\"args\":[\"...a: any\",\"b: any\"]}", "nothing can follow the argument '...'"},
        {"{\"args\":{\"type\":\"list\"}}", "'type': expected null, boolean"},
        {"{\"args\":{\"pattern\":\"a\"}}", "'pattern' is not one of the keywords that are checked"},
        {"{\"args\":{\"minItems\":-1}}", "'minItems': expected a whole number"},
        {"{\"args\":{\"minItems\":1.5}}", "'minItems': expected a whole number"},
        {"{\"args\":{\"maximum\":\"1\"}}", "'maximum': expected a number"},
        {"{\"args\":{\"enum\":[[]]}}", "'enum': expected texts, numbers"},
        {"{\"args\":{\"items\":3}}", "expected an object, true or false, got 3"},
        {"{\"args\":{\"anyOf\":{}}}", "'anyOf': expected an array of schemas"},
        {"{\"returns\":{\"required\":[1]}}", "'required': expected an array of names"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cl_schema *schema = NULL;
        CHECK_INT(cl_schema_create(cl_str_z(rows[i][0]), &schema), CLOUDS_EINVAL);
        if (!CHECK(strstr(clouds_last_error(), rows[i][1]) != NULL)) printf("# %s: %s\n", rows[i][0], clouds_last_error());
        CHECK(schema == NULL);
    }
}

/* ---- arguments */

typedef struct row {
    const char *args, *wrong; /* NULL: they fit */
} row;

static void check_rows(const char *declaration, const row *rows, size_t n)
{
    cl_schema *schema = schema_of(declaration);
    for (size_t i = 0; schema && i < n; i++) {
        int code = cl_shape_check(schema->args, cl_str_z(rows[i].args));
        CHECK_INT(code, rows[i].wrong ? CLOUDS_EBADARG : 0);
        if (rows[i].wrong && code) CHECK_STR(clouds_last_error(), strlen(clouds_last_error()), rows[i].wrong);
        else if (!rows[i].wrong && code) printf("# %s: %s\n", rows[i].args, clouds_last_error());
    }
    cl_schema_destroy(schema);
}

#define CHECK_ROWS(declaration, ...)                                                                                   \
    do {                                                                                                               \
        static const row rows[] = {__VA_ARGS__};                                                                       \
        check_rows(declaration, rows, sizeof rows / sizeof *rows);                                                     \
    } while (0)

static void arguments_and_their_number(void)
{
    CHECK_ROWS("{\"args\":[\"a: string\",\"b: integer?\"]}", {"[\"x\"]", NULL}, {"[\"x\",null]", NULL}, {"[\"x\",1.0]", NULL},
               {"[\"x\",-1e3]", NULL}, {"[]", "expected at least 1 argument, got 0"},
               {"[1]", "argument 1 (a): expected a text, got 1"},
               {"[\"x\",1.5]", "argument 2 (b): expected an integer or null, got 1.5"},
               {"[\"x\",15e-1]", "argument 2 (b): expected an integer or null, got 15e-1"},
               {"[\"x\",1,2]", "expected at most 2 arguments"}, {"[[]]", "argument 1 (a): expected a text, got an array"});
    CHECK_ROWS("{\"args\":[]}", {"[]", NULL}, {"[null]", "expected at most 0 arguments"});
    CHECK_ROWS("{\"args\":[\"...n: number\"]}", {"[]", NULL}, {"[1,2.5]", NULL},
               {"[1,true]", "argument 2 (n): expected a number, got true"});
    CHECK_ROWS("{\"doc\":\"no args\",\"args\":{}}", {"[1,\"x\",{}]", NULL});
}

static void places_within(void)
{
    CHECK_ROWS("{\"args\":[\"u: {name: string, tags?: (string|integer)[], at?: {[string]: number}}\"]}",
               {"[{\"name\":\"n\",\"more\":1}]", NULL}, {"[{\"n\\u0061me\":\"n\",\"tags\":[1,\"a\"],\"at\":{\"x\":0.5}}]", NULL},
               {"[{}]", "argument 1 (u): expected an object with the member 'name', got an object"},
               {"[{\"name\":null}]", "argument 1 (u).name: expected a text, got null"},
               {"[{\"name\":\"n\",\"tags\":[1,2.5]}]", "argument 1 (u).tags[1]: expected an integer or a text, got 2.5"},
               {"[{\"name\":\"n\",\"at\":{\"\\u0078\":\"y\"}}]", "argument 1 (u).at.x: expected a number, got a text"});
    CHECK_ROWS("{\"args\":[[\"o\",{\"type\":\"object\",\"properties\":{\"a\":true},\"additionalProperties\":false}]]}",
               {"[{\"a\":1}]", NULL}, {"[{\"b\":1}]", "argument 1 (o).b: expected no such member, got 1"});
    CHECK_ROWS("{\"args\":[\"x: {a: integer}|string\"]}", {"[\"t\"]", NULL},
               {"[{\"a\":\"b\"}]", "argument 1 (x).a: expected an integer, got a text"},
               {"[3]", "argument 1 (x): expected an object or a text, got 3"});
}

static void one_of_several(void)
{
    CHECK_ROWS("{\"args\":[[\"n\",{\"anyOf\":[{\"type\":\"integer\",\"minimum\":3},{\"type\":\"number\",\"maximum\":1}]}]]}",
               {"[4]", NULL}, {"[4.0]", NULL}, {"[0.5]", NULL}, {"[1]", NULL},
               {"[2]", "argument 1 (n): expected a number of at least 3, got 2"},
               {"[4.5]", "argument 1 (n): expected a number of at most 1, got 4.5"},
               {"[\"4\"]", "argument 1 (n): expected an integer or a number, got a text"});
    CHECK_ROWS("{\"args\":[[\"v\",{\"anyOf\":[false,{\"enum\":[1,\"a\\u002f\"]},{\"anyOf\":[{\"type\":\"boolean\"}]}]}]]}",
               {"[1e0]", NULL}, {"[\"\\u0061/\"]", NULL}, {"[true]", NULL},
               {"[2]", "argument 1 (v): expected 1 or \"a/\" or true or false, got 2"});
}

static void texts_and_numbers(void)
{
    CHECK_ROWS("{\"args\":[\"k: \\\"a\\\"|\\\"\\u00e4\\\"\"]}", {"[\"a\"]", NULL}, {"[\"\\u0061\"]", NULL}, {"[\"\\u00e4\"]", NULL},
               {"[\"b\"]", "argument 1 (k): expected \"a\" or \"\xc3\xa4\", got a text"});
    CHECK_ROWS("{\"args\":[[\"k\",{\"enum\":[1,true,null]}]]}", {"[1.0]", NULL}, {"[true]", NULL}, {"[null]", NULL},
               {"[\"1\"]", "argument 1 (k): expected 1 or true or null, got a text"});
    CHECK_ROWS("{\"args\":[[\"n\",{\"type\":\"number\",\"minimum\":0.1,\"exclusiveMaximum\":10}]]}", {"[0.1]", NULL},
               {"[9.99]", NULL}, {"[0.09]", "argument 1 (n): expected a number of at least 0.1, got 0.09"},
               {"[1e1]", "argument 1 (n): expected a number below 10, got 1e1"});
    CHECK_ROWS("{\"args\":[[\"s\",{\"minLength\":2,\"maxLength\":3}]]}", {"[\"\\u00e4\\u00e4\"]", NULL}, {"[\"abc\"]", NULL},
               {"[7]", NULL}, {"[\"\xc3\xa4\"]", "argument 1 (s): expected at least 2 characters, got a text"},
               {"[\"abcd\"]", "argument 1 (s): expected at most 3 characters, got a text"});
    CHECK_ROWS("{\"args\":[[\"l\",{\"type\":\"array\",\"minItems\":1,\"maxItems\":2}]]}", {"[[1]]", NULL},
               {"[[]]", "argument 1 (l): expected at least 1 elements, got an array"},
               {"[[1,2,3]]", "argument 1 (l): expected at most 2 elements, got an array"});
    CHECK_ROWS("{\"args\":[\"b: bytes\"]}", {"[{\"$bytes\":[0,1]}]", NULL},
               {"[{\"$$bytes\":1}]", "argument 1 (b): expected an object with the member '$bytes', got an object"});
}

/* ---- without memory */

static int allowed;

static void *scarce(void *self, void *block, size_t size)
{
    if (size == 0) return free(block), NULL;
    return allowed-- > 0 ? realloc(block, size) : NULL;
}

static void without_memory(void)
{
    const char *text = "{\"args\":[\"a: {b: \\\"x\\\"|\\\"y\\\", c?: string[]}\",[\"d\",\"integer?\",\"e\"]],\"returns\":\"any\"}";
    int code = CLOUDS_ENOMEM;
    for (int n = 0; code != 0 && n < 1000; n++) {
        cl_schema *schema = NULL;
        cl_mem_hook(scarce, NULL);
        allowed = n;
        code = cl_schema_create(cl_str_z(text), &schema);
        allowed = 1000000;
        cl_schema_destroy(schema);
        cl_mem_hook(NULL, NULL);
        if (!CHECK(code == 0 || code == CLOUDS_ENOMEM || code == CLOUDS_EINVAL)) break;
    }
    CHECK_INT(code, 0);
}

int main(void)
{
    setlocale(LC_ALL, "");
    RUN(what_types_are);
    RUN(what_is_told);
    RUN(what_is_no_schema);
    RUN(arguments_and_their_number);
    RUN(places_within);
    RUN(one_of_several);
    RUN(texts_and_numbers);
    if (use_comma()) RUN(texts_and_numbers);
    setlocale(LC_NUMERIC, "C");
    RUN(without_memory);
    return tap_end();
}
