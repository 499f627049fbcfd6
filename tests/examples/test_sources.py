#!/usr/bin/env python3
"""The examples as texts: each compiles alone by the command in its head, strictly; the short ones are short."""
import glob
import os
import re
import subprocess
import tempfile
import unittest

SOURCE = os.environ["CLOUDS_SOURCE"]
FOLDER = SOURCE + "/examples"


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


unittest.main()
