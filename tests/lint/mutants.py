#!/usr/bin/env python3
"""Each guard bites: in a copy of what it looks at one thing is made wrong, and the guard must fail and say what.

A library for it is made of the header itself: every function of it, doing nothing, with debug information. As it is it
passes the guards that only look at shapes; so what fails then is the change."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ["CLOUDS_SOURCE"]
LIBRARY = os.environ["CLOUDS_LIB"]
sys.path.insert(0, SOURCE + "/tools")
sys.dont_write_bytecode = True
import reference  # noqa: E402

HEADER, EXTEND, MAP = "capi/include/clouds.h", "capi/include/clouds_extend.h", "capi/clouds.map"
VERSION = re.search(r'^#define CLOUDS_VERSION "(.*)"$', pathlib.Path(SOURCE, HEADER).read_text(), re.M).group(1)
LAST_NODE = re.findall(r"^(CLOUDS_\S+) \{", pathlib.Path(SOURCE, MAP).read_text(), re.M)[-1]


class Copy(unittest.TestCase):
    parts = ("capi/include", "capi/clouds.map", "tools", "tests/lint")  # what is looked at, and what looks

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="clouds-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.source, self.library = self.folder + "/source", self.folder + "/libclouds.so"
        for part in self.parts:
            if os.path.isdir(f"{SOURCE}/{part}"):
                shutil.copytree(f"{SOURCE}/{part}", f"{self.source}/{part}", ignore=shutil.ignore_patterns("__pycache__"))
            else:
                os.makedirs(os.path.dirname(f"{self.source}/{part}"), exist_ok=True)
                shutil.copy(f"{SOURCE}/{part}", f"{self.source}/{part}")

    def change(self, path, pattern, to, count=1):
        """Changes the text of a file, where it must be found."""
        text = pathlib.Path(self.source, path).read_text()
        changed, n = re.subn(pattern, to, text, count=count, flags=re.S | re.M)
        self.assertGreater(n, 0, f"{pattern!r} is not in {path}")
        self.assertNotEqual(text, changed)
        pathlib.Path(self.source, path).write_text(changed)

    def build(self, more="", left_out=(), flags=("-g",)):
        """Makes the library of the header: its functions without those left out, and more."""
        functions = [one for name in (HEADER, EXTEND) for one in reference.read(f"{self.source}/{name}")[0]]
        bodies = [f"{f.declaration} {{ {'' if f.result == 'void' else 'return 0;'} }}\n"
                  for f in functions if f.name not in left_out]
        pathlib.Path(self.folder, "stub.c").write_text('#include "clouds_extend.h"\n' + "".join(bodies) + more + "\n")
        subprocess.run(["cc", "-shared", "-fPIC", "-fvisibility=hidden", "-DCLOUDS_BUILD",
                        f"-I{self.source}/capi/include", f"-Wl,--version-script={self.source}/{MAP}",
                        "-Wl,-soname,libclouds.so.0", self.folder + "/stub.c", *flags, "-o", self.library],
                       check=True)
        os.symlink(self.library, self.library + ".0")

    def release(self):
        """The version of the copy is released."""
        for name in (HEADER, EXTEND):
            shutil.copy(f"{self.source}/{name}", f"{self.source}/capi/abi/{VERSION}/{os.path.basename(name)}")
        subprocess.run([self.source + "/tools/abi-record.sh", "--released"], check=True)

    def guard(self, name, *arguments, library=None, **more):
        """Runs a guard on the copy: did it pass, and what did it say?"""
        environment = {**os.environ, "CLOUDS_SOURCE": self.source, "CLOUDS_LIB": library or self.library, **more}
        done = subprocess.run([sys.executable, f"{self.source}/{name}", *arguments], env=environment, text=True,
                              capture_output=True, timeout=100)
        return done.returncode == 0, done.stdout + done.stderr

    def passes(self, name, *arguments, **more):
        good, words = self.guard(name, *arguments, **more)
        self.assertTrue(good, words)

    def bites(self, words, name, *arguments, **more):
        good, said = self.guard(name, *arguments, **more)
        self.assertFalse(good, f"{name} does not notice: {said}")
        self.assertRegex(said, words)


class Exports(Copy):
    parts = (*Copy.parts, "capi/abi")
    guarded = "tests/lint/exports.py"
    MORE = "CLOUDS_API int clouds_more(int value);"

    def more(self, since, to, pattern=r"\Z"):
        """A function more, which is since a version, and a change of the list."""
        self.change(HEADER, r"^#ifdef __cplusplus\n}", f"/* Since {since}. */\n{self.MORE}\n#ifdef __cplusplus\n}}")
        self.change(MAP, pattern, to)

    def test_as_it_is(self):
        self.build()
        self.passes(self.guarded)

    def test_a_new_undeclared_export(self):
        self.change(MAP, r"    local:", "        clouds_extra;\n    local:")
        self.build('__attribute__((visibility("default"))) void clouds_extra(void) {}')
        self.bites("only in the library: clouds_extra", self.guarded)

    def test_an_export_that_no_list_knows(self):
        self.change(MAP, r"    local:\s*\*;", "    local: nothing;")
        self.build('__attribute__((visibility("default"))) void clouds_extra(void) {}')
        self.bites("only in the library: clouds_extra", self.guarded)

    def test_a_function_that_the_library_lacks(self):
        self.build(left_out=["clouds_wakeup"])
        self.bites("only in clouds.map: clouds_wakeup", self.guarded)

    def test_a_function_that_the_list_lacks(self):
        self.change(MAP, r" *clouds_wakeup;\n", "")
        self.build()
        self.bites("only in clouds.h: clouds_wakeup", self.guarded)

    def test_a_function_that_the_header_lacks(self):
        self.build()
        self.change(HEADER, r"^CLOUDS_API int clouds_wakeup\(.*?;\n", "")
        self.bites("only in the library: clouds_wakeup", self.guarded)

    def test_a_function_more_in_a_node_of_its_own(self):
        self.more("0.99", "\nCLOUDS_0.99 { global: clouds_more; } " + LAST_NODE + ";\n")
        self.build()
        self.passes(self.guarded)

    def test_a_function_more_in_the_first_node(self):
        self.more("0.3", "        clouds_more;\n    local:", "    local:")
        self.build()
        self.bites("clouds_more is since 0.3, and in the node CLOUDS_0.2", self.guarded)

    def test_a_function_more_in_a_node_that_is_released(self):
        self.more("0.2", "        clouds_more;\n    local:", "    local:")
        self.build()
        self.bites("clouds_more is in the node CLOUDS_0.2 of clouds.map, and 0.2.0 does not have it", self.guarded)

    def test_a_node_that_inherits_nothing(self):
        self.more("0.99", "\nCLOUDS_0.99 { global: clouds_more; };\n")
        self.build()
        self.bites("the node CLOUDS_0.99 .*does not inherit", self.guarded)


class Abi(Copy):
    parts = (*Copy.parts, "capi/abi", "capi/api/records.def")
    guarded = "tests/lint/abi.py"
    MEMBER = r"    int64_t number; [^\n]*\n"

    def refused(self, words):
        self.build()
        self.bites(words, self.guarded, "functions")

    def refused_record(self, pattern, to, words):
        self.change(HEADER, pattern, to)
        self.bites("clouds_event of 0.2.0 had " + words, self.guarded, "records")

    def test_as_it_is_and_with_a_function_more(self):
        self.change(HEADER, r"^#ifdef __cplusplus\n}", "CLOUDS_API int clouds_more(int value);\n#ifdef __cplusplus\n}")
        self.change(MAP, r"    local:", "        clouds_more;\n    local:")
        self.build()
        self.passes(self.guarded)

    def test_a_member_more_at_the_end(self):
        self.change(HEADER, r"^(\} clouds_\w+;)$", r"    uint64_t later;\n\1", count=0)
        self.build()
        self.passes(self.guarded)

    def test_a_removed_function(self):
        self.build(left_out=["clouds_wakeup"])
        self.bites("clouds_wakeup", self.guarded, "functions")

    def test_a_changed_member(self):
        self.refused_record(r"double time_left;", "float time_left;", "double time_left")

    def test_a_member_of_another_type_of_the_same_size(self):
        self.refused_record(r"int64_t number;", "uint64_t number;", "int64_t number")

    def test_a_removed_member(self):
        self.refused_record(self.MEMBER, "", "int64_t number")

    def test_a_member_in_the_middle(self):
        self.refused_record(r"    int64_t number;", "    int64_t sooner;\n    int64_t number;", "int64_t number")

    def test_a_moved_member(self):
        self.change(HEADER, self.MEMBER, "")
        self.refused_record(r"^(\} clouds_event;)$", r"    int64_t number;\n\1", "int64_t number")

    def test_a_changed_member_where_another_came_at_the_end(self):
        self.change(HEADER, r"^(\} clouds_event;)$", r"    uint64_t later;\n\1")
        self.refused_record(r"int64_t number;", "uint64_t number;", "int64_t number")

    def test_another_least_size(self):
        self.change("capi/api/records.def", r"^RECORD\(clouds_event, \w+\)", "RECORD(clouds_event, data_len)")
        self.bites("clouds_event of 0.2.0 ended with .*its least size in records.def with data_len", self.guarded, "records")

    def test_a_changed_parameter(self):
        self.change(HEADER, r"uint64_t call, double timeout, clouds_event \*event,\s+size_t event_size\);",
                    "uint32_t call, double timeout, clouds_event *event, size_t event_size);")
        self.refused("parameter 2")
        self.bites(r"clouds_wait of 0.2.0 was int \(clouds_context \*, uint64_t", self.guarded, "functions")

    def test_a_changed_result(self):
        self.change(HEADER, r"^CLOUDS_API int clouds_fd", "CLOUDS_API short clouds_fd")
        self.refused("return type")

    def test_another_constant(self):
        self.change(HEADER, r"CLOUDS_EVENT_SENT = 8", "CLOUDS_EVENT_SENT = 80")
        self.bites("CLOUDS_EVENT_SENT 8", self.guarded, "constants")

    def test_another_number_of_an_error(self):
        self.change(HEADER, r"X\(CLOUDS_EEXIST, -29", "X(CLOUDS_EEXIST, -30")
        self.bites("CLOUDS_EEXIST -29", self.guarded, "constants")

    def test_another_name_of_the_library(self):
        self.build(flags=("-g", "-Wl,-soname,libclouds.so.1"))
        self.bites("SONAME", self.guarded, "functions")

    def test_a_stripped_library(self):
        self.build(flags=("-g0",))
        self.bites("no debug information", self.guarded, "debug")

    def test_a_released_version_stays_as_it_is(self):
        self.build()
        self.release()
        self.passes(self.guarded, "recorded")
        done = subprocess.run([self.source + "/tools/abi-record.sh", self.library], capture_output=True, text=True)
        self.assertIn(f"{VERSION} is released", done.stderr)
        self.assertNotEqual(done.returncode, 0)
        for version in ("0.2.0", VERSION):
            self.change(f"capi/abi/{version}/clouds.h", r"double time_left;", "float time_left;")
            self.bites(f"capi/abi/{version}/clouds.h has changed, and {version} is released", self.guarded, "recorded")

    def test_a_new_version_is_recorded_beside_the_released_one(self):
        self.release()
        self.change(HEADER, rf'CLOUDS_VERSION "{VERSION}"', 'CLOUDS_VERSION "0.99.0"')
        self.build()
        self.bites(rf"capi/abi has .*{VERSION}, not .*{VERSION}, 0.99.0", self.guarded, "recorded")
        subprocess.run([self.source + "/tools/abi-record.sh", self.library], check=True)
        self.passes(self.guarded)


class Recorded(Copy):
    """The programs of recorded versions, with libraries that are wrong."""
    parts = ("capi", "tools", "tests/lint")
    guarded = "tests/lint/recorded.py"

    def test_it_needs_all_functions(self):
        self.build(left_out=["clouds_choose"])
        self.bites("clouds_choose", self.guarded)

    def test_it_needs_a_library_that_works(self):
        self.build()
        self.bites("the program ended with", self.guarded)

    def test_a_header_belongs_to_its_abi(self):
        self.change("capi/abi/0.2.0/clouds.h", r"^CLOUDS_API int clouds_wakeup\(.*?;\n", "")
        self.bites("clouds_wakeup", self.guarded, library=LIBRARY)

    def test_it_is_run_with_no_other_library(self):
        self.build()
        self.passes(self.guarded, library=LIBRARY, LD_LIBRARY_PATH=self.folder)
        self.bites("the program ended with", self.guarded, LD_LIBRARY_PATH=os.path.dirname(LIBRARY))

    def test_the_least_size_of_a_record_is_that_of_its_first_version(self):
        self.change("capi/api/record.c", r"END_OF\(name, last\), ", "sizeof(name), ")
        self.bites(r"the size of clouds_\w+ is \d+ bytes: this library takes", self.guarded, library=LIBRARY)

    def test_no_more_is_written_than_the_caller_has(self):
        self.change("capi/api/record.h", r"if \(size < known\)", "if (0)")
        self.bites("guard", self.guarded, library=LIBRARY)


class Header(Copy):
    guarded = "tests/lint/header.py"

    def refused(self, check, declaration, words):
        self.change(HEADER, r"^#ifdef __cplusplus\n}", declaration + "\n#ifdef __cplusplus\n}")
        self.bites(words, self.guarded, check, library=LIBRARY)

    def test_as_it_is(self):
        self.passes(self.guarded, library=LIBRARY)

    def test_what_cpp_cannot_read(self):
        self.refused("c++", "CLOUDS_API int clouds_more(int class);", "class")

    def test_what_is_not_pedantic(self):
        self.refused("c", "struct clouds_more { int length; int list[0]; };", "zero-size array")

    def test_what_only_c11_has(self):
        self.refused("c", "struct clouds_more { _Alignas(16) int a; };", "ISO C99 does not support .*_Alignas")

    def test_what_pycparser_cannot_read(self):
        self.refused("pycparser", "CLOUDS_API int clouds_more(int a) __attribute__((cold));", "pycparser")

    def test_what_a_binding_would_have_to_copy_by_hand(self):
        whole = pathlib.Path(self.source, HEADER).read_text()
        for declaration, words in (("static inline int clouds_more(int a) { return a; }", "a function with a body"),
                                   ("CLOUDS_API int clouds_more(const char *format, ...);", "varargs"),
                                   ("struct clouds_more { int a : 3; };", "a bitfield"),
                                   ("CLOUDS_API int clouds_more(clouds_event event);", "a struct by value")):
            with self.subTest(declaration):
                self.refused("pycparser", declaration, words)
            pathlib.Path(self.source, HEADER).write_text(whole)

    def test_a_macro_that_a_binding_cannot_see(self):
        self.refused("macros", "#define CLOUDS_MORE 3", "the macro CLOUDS_MORE")

    def test_another_shape_than_the_library_has(self):
        self.change(HEADER, r"    int64_t number;", "    int64_t sooner;\n    int64_t number;")
        self.bites("clouds_event has another size", self.guarded, "luajit", library=LIBRARY)


class Layout(Copy):
    guarded = "tests/lint/layout.py"

    def refused(self, check, path, pattern, to, words):
        self.change(path, pattern, to)
        self.bites(words, self.guarded, check, library=LIBRARY)

    def test_as_it_is(self):
        self.passes(self.guarded, library=LIBRARY)

    def test_a_member_that_is_not_told(self):
        self.refused("members", HEADER, r"^(\} clouds_event;)$", r"    int64_t later;\n\1",
                     "does not tell of .'clouds_event', 'later', 'int64'")

    def test_a_member_of_another_type(self):
        self.refused("members", HEADER, r"int64_t number;", "double number;", "'clouds_event', 'number', 'double'")

    def test_a_member_that_is_gone(self):
        self.refused("members", HEADER, r"    double time_left;", "", "'clouds_event', 'time_left', 'double'.*does not have")

    def test_a_record_that_is_not_told(self):
        self.refused("members", HEADER, r"^typedef struct clouds_event \{",
                     "typedef struct clouds_more { double a; } clouds_more;\ntypedef struct clouds_event {", "clouds_more")

    def test_a_member_that_is_elsewhere_on_other_machines(self):
        compiler = subprocess.run(["cc", "-m32", "-ffreestanding", "-S", "-x", "c", "-", "-o", os.devnull], input="",
                                  text=True, capture_output=True)
        if compiler.returncode:
            self.skipTest("the compiler makes nothing for 32 bits")
        self.change(HEADER, r"    clouds_node \*node;[^\n]*\n", "")
        self.refused("words", HEADER, r"    uint64_t user_data;(?=  /\* RESULT)", "    clouds_node *node;\n    uint64_t user_data;",
                     "clouds_event.user_data: .* with -m32 -malign-double, else")

    def test_padding_at_the_end(self):
        self.refused("words", HEADER, r"^(\} clouds_event;)$", r"    uint32_t later;\n\1",
                     "clouds_event.later is followed by padding with -m64")

    def test_an_event_without_a_name(self):
        self.refused("names", HEADER, r"CLOUDS_EVENT_LOG = ", "CLOUDS_EVENT_MORE = 70, CLOUDS_EVENT_LOG = ", "'MORE'")

    def test_an_error_that_is_not_told(self):
        self.refused("names", HEADER, r"X\(CLOUDS_EEXIST, -29", "X(CLOUDS_EEXIST, -30", "clouds_error_at")


class Documentation(Copy):
    guarded = "tests/lint/documentation.py"

    def without(self, pattern, words, to=""):
        self.change(HEADER, pattern, to)
        self.bites(words, self.guarded)

    def test_as_it_is(self):
        self.passes(self.guarded)

    def test_a_function_without_a_comment(self):
        self.without(r"/\* [^/]*?\*/\n(?=CLOUDS_API int clouds_wakeup)", "clouds_wakeup: no comment")

    def test_a_comment_without_thread(self):
        self.without(r" Thread: any\.(?= Since 0\.1\. \*/\nCLOUDS_API int clouds_wakeup)", 'clouds_wakeup: .*"Thread')

    def test_a_comment_without_since(self):
        self.without(r" Since 0\.1\.(?= \*/\nCLOUDS_API int clouds_wakeup)", "clouds_wakeup: .*Since")

    def test_a_comment_without_errors(self):
        self.without(r"Errors: CLOUDS_EHANDLE\.(?= Thread: any\. Since 0\.1\. \*/\nCLOUDS_API int clouds_wakeup)",
                     "clouds_wakeup: .*Errors")

    def test_an_error_that_is_none(self):
        self.without(r"CLOUDS_EHANDLE(?=\. Thread: any\. Since 0\.1\. \*/\nCLOUDS_API int clouds_wakeup)",
                     "clouds_wakeup: CLOUDS_EHANDEL", "CLOUDS_EHANDEL")

    def test_a_comment_without_what_completes_it(self):
        self.without(r"Completed by: exactly one\s+\*?\s*CLOUDS_EVENT_RESULT", "clouds_node_call: .*Completed by",
                     "It ends once")

    def test_a_parameter_that_is_not_mentioned(self):
        self.without(r"clouds_wakeup\(clouds_context \*context\)", "clouds_wakeup: .*the parameter why",
                     "clouds_wakeup(clouds_context *context, int why)")

    def test_a_handle_without_its_end(self):
        self.without(r"the caller destroys it by\s+(\* )?clouds_options_destroy", "clouds_options_create: .*destroyed",
                     "the caller keeps it")

    def test_a_function_that_is_not_there(self):
        self.without(r"those of `options`", "clouds_context_create: .*clouds_nothing", "clouds_nothing")


class References(unittest.TestCase):
    def refers(self, comment, page="# Title\n\n## 5. A\n\n### 5.2 B\n\nSee `capi/a.c`.\n"):
        """What the guard says of a file with this comment beside docs/WIRE.md."""
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("capi/a.c", comment), ("docs/WIRE.md", page), ("tests/a.c", "static void it_is_there(void)\n"),
                               ("tests/a.lua", 't.test("it is (there)", function()\n')):
                os.makedirs(os.path.dirname(f"{folder}/{name}"), exist_ok=True)
                pathlib.Path(folder, name).write_text(text)
            done = subprocess.run([sys.executable, SOURCE + "/tests/lint/references.py", folder], capture_output=True, text=True)
            return done.returncode, done.stdout

    def test_what_is_there(self):
        for comment in ("/* docs/WIRE.md */", "/* WIRE.md 5.2 */", "/* see WIRE.md\n * 5.2: it */", "/* WIRE.md, section 5. */"):
            self.assertEqual(self.refers(comment)[0], 0, comment)

    def test_what_is_not_there(self):
        for comment, why in (("/* docs/PLAN.md */", "docs/PLAN.md is not there"), ("/* PLAN.md 2 */", "PLAN.md is not there"),
                             ("/* WIRE.md 5.3 */", "no section 5.3"), ("/* WIRE.md\n * 7.3 */", "no section 7.3"),
                             ("/* WIRE.md, section 11: it */", "no section 11"), ("/* WIRE.md 5 and 6 */", "no section 6")):
            code, said = self.refers(comment)
            self.assertEqual(code, 1, comment)
            self.assertIn(why, said)

    def test_a_path_in_a_page(self):
        code, said = self.refers("/* WIRE.md */", "`capi/b.c` and `capi/*.c`\n")
        self.assertEqual((code, "capi/b.c is not there" in said, "capi/*.c" in said), (1, True, False), said)

    def test_a_test_in_a_page(self):
        code, said = self.refers("/* WIRE.md */", "`tests/a.c:it_is_there` `tests/a.c:is_there` `tests/b.c:x`\n")
        self.assertEqual((code, "has no it_is_there" in said, "has no is_there" in said, "tests/b.c is not there" in said),
                         (1, False, True, True), said)
        code, said = self.refers("/* WIRE.md */", "`tests/a.lua:it is (there)` `tests/a.lua:it is`\n")
        self.assertEqual((code, "has no it is (there)" in said, "has no it is\n" in said), (1, False, True), said)


class Named(unittest.TestCase):
    def says(self, rows, tests="    def test_H1_H2_it(self):\n    def test_other(self):\n"):
        """What the guard says of a table with these rows, beside tests/a/test_a.py."""
        with tempfile.TemporaryDirectory() as folder:
            page = f"<!-- names: H1-H2 of tests/a -->\n{rows}<!-- end of names -->\n"
            for name, text in (("docs/PROMISES.md", page), ("tests/a/test_a.py", tests)):
                os.makedirs(os.path.dirname(f"{folder}/{name}"))
                pathlib.Path(folder, name).write_text(text)
            done = subprocess.run([sys.executable, SOURCE + "/tests/lint/named.py", folder], capture_output=True, text=True)
            return done.returncode, done.stdout

    ROWS = "| H1 | one | `tests/a/test_a.py:test_H1_H2_it` |\n| H2 | two | `tests/a/test_a.py:test_H1_H2_it`, `tests/b.c:x` |\n"

    def test_what_is_right(self):
        self.assertEqual(self.says(self.ROWS), (0, "2 names, 0 faults\n"))

    def test_what_is_wrong(self):
        for rows, why in ((self.ROWS[:self.ROWS.index("| H2")], "H2: expected one row, found 0"),
                          (self.ROWS + self.ROWS, "H1: expected one row, found 2"),
                          (self.ROWS + "| H3 | three | `tests/b.c:x` |\n", "H3: expected one row, found 1"),
                          (self.ROWS.replace("one", ""), "H1 does not say what it asks"),
                          ("| H1 | one | none |\n", "H1 has no test"),
                          ("| H1 | one | `tests/a/test_a.py:test_other` |\n", "test_other does not have the name"),
                          ("| H1 | one | `tests/b.c:x` |\n", "test_H1_H2_it has the name, and is not in the row")):
            code, said = self.says(rows)
            self.assertEqual((code, why in said), (1, True), said)
        code, said = self.says(self.ROWS, "    def test_H1_H2_it(self):\n    def test_H9_it(self):\n")
        self.assertEqual((code, "H9: tests have the name, and there is no row" in said), (1, True), said)


class Generated(Copy):
    parts = (*Copy.parts, "docs", "bindings/python", "capi/api/options.def", "CMakeLists.txt")

    def test_the_reference(self):
        check = ("tools/reference.py", "--check", self.source + "/docs/REFERENCE.md")
        self.passes(check[0], check[2])
        self.passes(*check)
        self.change(HEADER, r"Sticky, and cheap to repeat", "Sticky")
        self.bites("REFERENCE.md is not up to date", *check)

    def test_the_configuration(self):
        check = ("tools/configuration.py", "--check", LIBRARY, self.source + "/docs/CONFIGURATION.md")
        self.passes(check[0], *check[2:])
        self.passes(*check)
        self.change("docs/CONFIGURATION.md", r"Address of the cluster", "The address")
        self.bites("CONFIGURATION.md is not up to date", *check)

    def test_the_declarations_of_python(self):
        check = ("bindings/python/generate.py", "--check")
        self.passes(check[0])
        self.passes(*check)
        self.change(HEADER, r"double time_left;", "float time_left;")
        self.bites("_abi.py", *check)


class Sizes(unittest.TestCase):
    def guard(self, path, text):
        with tempfile.TemporaryDirectory() as folder:
            os.makedirs(os.path.dirname(f"{folder}/{path}"))
            pathlib.Path(folder, path).write_text(text)
            done = subprocess.run([sys.executable, SOURCE + "/tests/lint/sizes.py"], capture_output=True, text=True,
                                  env={**os.environ, "CLOUDS_SOURCE": folder})
            return done.returncode, done.stdout

    def test_files(self):
        for path, lines, code in (("capi/base/a.c", 500, 0), ("capi/base/a.c", 501, 1), ("tests/api/a.c", 900, 0),
                                  ("tests/api/a.c", 901, 1), ("lua/clouds/a.lua", 501, 1)):
            self.assertEqual(self.guard(path, "\n" * lines)[0], code, (path, lines))

    def test_functions(self):
        for path, begin, line, end in (("host/a.c", "int long_one(int a)\n{\n", "    a++;\n", "}\n"),
                                       ("lua/clouds/a.lua", "local function long_one(a)\n", "  a = a\n", "end\n"),
                                       ("bindings/node/lib/a.js", "function long_one(a) {\n", "  a++;\n", "}\n"),
                                       ("bindings/node/lib/a.js", "class A {\n  long_one(a) {\n", "    a++;\n", "  }\n}\n"),
                                       ("bindings/python/a.py", "def long_one(a):\n", "    a += 1\n", "")):
            self.assertEqual(self.guard(path, begin + line * 57 + end)[0], 0, path)
            code, said = self.guard(path, begin + line * 60 + end)
            self.assertEqual((code, "long_one has 6" in said), (1, True), path + said)


class Symbols(unittest.TestCase):
    def guard(self, **sources):
        with tempfile.TemporaryDirectory() as folder:
            lines = []
            for name, (part, text) in sources.items():
                pathlib.Path(folder, name + ".c").write_text(text)
                subprocess.run(["cc", "-c", f"{folder}/{name}.c", "-o", f"{folder}/{name}.o"], check=True)
                lines.append(f"{part} {folder}/{name}.o\n")
            pathlib.Path(folder, "list").write_text("".join(lines))
            done = subprocess.run([sys.executable, SOURCE + "/tests/lint/symbols.py", folder + "/list"],
                                  capture_output=True, text=True)
            return done.returncode, done.stdout

    good = {"a": ("capi", "int cl_a;"), "b": ("lua/core", "int lc_a;"), "c": ("host", "int host_a; static int cl_a;")}

    def test_as_it_is(self):
        self.assertEqual(self.guard(**self.good)[0], 0)

    def test_a_prefix_of_another_part(self):
        code, said = self.guard(**{**self.good, "d": ("host", "int cl_b;")})
        self.assertEqual((code, "cl_b does not begin" in said), (1, True), said)

    def test_one_name_twice(self):
        code, said = self.guard(**{**self.good, "d": ("capi", "int cl_a(void) { return 0; }")})
        self.assertEqual((code, "cl_a is defined in" in said), (1, True), said)

    def test_a_part_that_is_missing(self):
        self.assertIn("no objects of host", self.guard(a=self.good["a"], b=self.good["b"])[1])


class Includes(Copy):
    """An arrow that points up, and a file that would know both a registry and a socket."""
    parts = ("capi", "host", "lua", "bindings/node/src", "bindings/python/clouds", "examples", "tests/lint")
    guarded = "tests/lint/includes.py"

    def includes(self, path, header):
        """The file includes one more header."""
        self.change(path, r"^#include ", f'#include "{header}"\n#include ')

    def test_as_it_is(self):
        self.passes(self.guarded)

    def test_a_directory_that_knows_a_socket(self):
        self.includes("capi/directory/folder/claim.c", "net/conn.h")
        self.bites("knows no socket", self.guarded)

    def test_a_bus_that_knows_a_socket(self):
        self.includes("capi/bus/node.c", "net/conn.h")
        self.bites("knows no socket", self.guarded)

    def test_a_transport_that_knows_a_registry(self):
        self.includes("capi/transport/link/link.c", "directory/directory.h")
        self.bites("transport may not use directory", self.guarded)

    def test_a_directory_that_knows_a_transport(self):
        self.includes("capi/directory/memory/memory.c", "transport/transport.h")
        self.bites("directory may not use transport", self.guarded)

    def test_a_core_that_knows_more_of_the_bus(self):
        self.includes("capi/core/node.c", "bus/internal.h")
        self.bites("core may not use bus", self.guarded)

    def test_the_client_of_redis(self):
        self.includes("capi/transport/link/link.c", "redis/client.h")
        self.bites("only what is on Redis", self.guarded)


unittest.main()
