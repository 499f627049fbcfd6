#!/usr/bin/env python3
"""The examples as texts: each compiles alone by the command in its head, strictly; the short ones are short. The bindings
declare the library as its header does."""
import glob
import os
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ["CLOUDS_SOURCE"]
FOLDER = SOURCE + "/examples"
sys.path.insert(0, SOURCE + "/tools")
sys.dont_write_bytecode = True
import reference  # noqa: E402


def code_lines(path):
    """The lines that are neither empty nor only comment."""
    text = re.sub(r"/\*.*?\*/|^\s*//[^\n]*", "", open(path).read(), flags=re.S | re.M)
    return [line for line in text.split("\n") if line.strip()]


class Sources(unittest.TestCase):
    def test_the_short_ones_are_at_most_20_lines(self):
        for name in ("service", "client"):
            lines = code_lines(f"{FOLDER}/c/{name}.c")
            self.assertLessEqual(len(lines), 20, name)
            self.assertLessEqual(max(map(len, lines)), 120, name)

    def test_each_compiles_by_itself_and_strictly(self):
        uv = subprocess.run(["pkg-config", "--cflags", "libuv"], check=True, capture_output=True, text=True).stdout.split()
        with tempfile.TemporaryDirectory() as out:
            for path in sorted(glob.glob(FOLDER + "/c/*.c") + glob.glob(FOLDER + "/cpp/*.cpp")):
                compiler = ["cc", "-std=c99"] if path.endswith(".c") else ["c++", "-std=c++17"]
                done = subprocess.run(compiler + ["-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-O1", "-c",
                                                  "-I" + SOURCE + "/capi/include", *uv, path, "-o", out + "/object"],
                                      capture_output=True, text=True)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_head_says_how_to_build_and_the_guide_shows_each(self):
        guide = open(SOURCE + "/docs/C.md").read()
        for path in sorted(glob.glob(FOLDER + "/c/*.c") + glob.glob(FOLDER + "/cpp/*.cpp")):
            name = os.path.basename(path)
            self.assertRegex(open(path).read(), rf"(cc|c\+\+) [^\n]*{re.escape(name)} [^\n]*pkg-config", name)
            self.assertIn(os.path.relpath(path, SOURCE), guide, f"docs/C.md does not mention {name}")

    def test_the_guide_shows_the_short_ones_as_they_are(self):
        guide = open(SOURCE + "/docs/C.md").read()
        for name in ("service", "client"):
            text = open(f"{FOLDER}/c/{name}.c").read()
            self.assertIn("```c\n" + text[text.index("*/\n") + 3:] + "```\n", guide, f"docs/C.md shows another {name}.c")


BINDINGS = ("ruby/clouds.rb", "ruby/clouds/library.rb", "perl/Clouds.pm", "perl/Clouds/Library.pm")


def one_line(text):
    return " ".join(text.split())


class Bindings(unittest.TestCase):
    def test_each_file_is_short(self):
        for path in BINDINGS:
            lines = open(f"{FOLDER}/{path}").read().split("\n")
            self.assertLess(len(lines), 151, path)
            self.assertLessEqual(max(map(len, lines)), 120, path)

    def test_the_declarations_are_those_of_the_header(self):
        functions, _ = reference.read()
        known = {f.name: one_line(f.declaration) for f in functions}
        for path in ("ruby/clouds/library.rb", "perl/Clouds/Library.pm"):
            text = open(f"{FOLDER}/{path}").read()
            declared = re.findall(r"^ *((?:int|void|const char \*)\s*(clouds_\w+)\([^;]*\));$", text, re.M)
            self.assertGreater(len(declared), 15, path)
            for declaration, name in declared:
                self.assertEqual(one_line(declaration), known.get(name), path)
            everywhere = "".join(open(f"{FOLDER}/{one}").read() for one in BINDINGS if one[:4] == path[:4])
            for _, name in declared:
                self.assertGreater(len(re.findall(rf"\b{name}\b", everywhere)), 1, f"{path} does not use {name}")

    def test_the_numbers_are_those_of_the_header(self):
        header = open(SOURCE + "/capi/include/clouds.h").read()
        # They need no later version than the one that they were written with, which is a recorded one.
        header += "".join(re.findall("^#define CLOUDS_VERSION_NUMBER .*\n", open(one).read(), re.M)[0]
                          for one in glob.glob(SOURCE + "/capi/abi/*/clouds.h"))
        for path in BINDINGS:
            for name, number in re.findall(r"\b(CLOUDS_\w+) =>? (\d+)", open(f"{FOLDER}/{path}").read()):
                self.assertRegex(header, rf"\b{name}(?: =)? {number}\b", path)

    def test_the_page_shows_them_as_they_are(self):
        guide = open(SOURCE + "/docs/BINDINGS.md").read()
        texts = {"ruby": "", "perl": ""}
        for path in glob.glob(FOLDER + "/ruby/**", recursive=True) + glob.glob(FOLDER + "/perl/**", recursive=True):
            if os.path.isfile(path):
                texts[os.path.relpath(path, FOLDER)[:4]] += open(path).read()
        for path in BINDINGS:
            self.assertIn(f"(../examples/{path})", guide)
        for language, text in texts.items():
            shown = re.findall(rf"^```{language}\n(.*?)^```$", guide, re.S | re.M)
            self.assertTrue(shown, language)
            for excerpt in shown:
                self.assertIn(excerpt, text, f"docs/BINDINGS.md shows other {language}")


unittest.main()
