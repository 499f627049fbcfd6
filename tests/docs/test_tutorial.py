#!/usr/bin/env python3
"""docs/TUTORIAL.md, word for word in an empty folder: its files are written, its commands typed, and what they print compared."""
import os
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
sys.dont_write_bytecode = True

from harness import SOURCE, Case, Process, wait_until  # noqa: E402

BUILD = os.path.relpath(os.environ["CLOUDS_BUILD_DIR"], SOURCE)
NODE_ID = re.compile(r"\b[a-z]\.[0-9a-f]{8}\.\d+\.\d+\b")
FILE = re.compile(r"(?:--|#|//) (\S+\.\w+)\n")
JOB = re.compile(r"^.*: line \d+: +\d+ (?:Killed|Terminated) .*\n", re.M)  # the shell's words about its jobs
DONE = "\1done\n"


def blocks():
    """The fenced blocks of the page: (language, text)."""
    with open(SOURCE + "/docs/TUTORIAL.md", encoding="utf-8") as file:
        return re.findall(r"^```(\w*)\n(.*?)^```$", file.read(), re.S | re.M)


def commands(text):
    """A console block: (command, what it prints)."""
    steps = re.split(r"^\$ (.*)\n", text, flags=re.M)
    assert not steps[0], f"a console block begins with output: {text!r}"
    return zip(steps[1::2], steps[2::2])


class Numbered:
    """Ids are named in the order in which they appear first, so that those of the page and of this run can be compared."""

    def __init__(self):
        self._names = {}

    def __call__(self, text):
        return NODE_ID.sub(lambda found: self._names.setdefault(found[0], f"<id {len(self._names)}>"), text)


class Shell:
    """A bash in the folder; what is typed into it and what is printed there."""

    def __init__(self, case):
        env = {key: value for key, value in case.env.items() if not key.startswith("CLOUDS_") or key == "CLOUDS_RUNTIME_DIR"}
        home = os.path.join(case.folder, "tutorial")
        os.mkdir(home)
        self.folder = home
        self._process = Process(["bash", "-s"], env, stdin=subprocess.PIPE, cwd=SOURCE)
        case.addCleanup(self._end)
        self._seen = 0
        self.type("exec 2>&1")

    def _end(self):
        os.killpg(self._process.pid, signal.SIGKILL)  # the shell, and what still runs in it
        self._process.discard()

    def _printed(self):
        text = JOB.sub("", self._process.out.text()[self._seen:])
        return text.replace(DONE, "", 1) if DONE in text else None

    def type(self, command, lines=0):
        """Types a command, waits for its end and for as many lines, and gives what was printed meanwhile."""
        self._process.popen.stdin.write(f"{command}\n{{ code=$?; printf '\\1done\\n'; (exit $code); }}\n".encode())
        self._process.popen.stdin.flush()

        def ended():
            printed = self._printed()
            return printed is not None and printed.count("\n") >= lines
        try:
            wait_until(ended, f"{command} prints {lines} lines")
        except AssertionError as error:
            raise AssertionError(f"{error}; printed was {self._process.out.text()[self._seen:]!r}") from None
        printed = self._printed()
        self._seen = len(self._process.out.text())
        return printed


class Tutorial(Case):
    def test_word_for_word(self):
        page, here = Numbered(), Numbered()
        shell, console = Shell(self), 0
        for language, text in blocks():
            if language == "sh":
                self.set_up(shell, text)
            elif language == "console":
                for command, promised in commands(text):
                    printed = shell.type(command, promised.count("\n"))
                    self.assertEqual(self.lines(command, here(printed)), self.lines(command, page(promised)), command)
                    console += 1
            else:
                self.assertRegex(text, FILE, "a block that is no file has no name in its first line")
                with open(os.path.join(shell.folder, FILE.match(text)[1]), "w", encoding="utf-8") as file:
                    file.write(text)
        self.assertGreater(console, 20)

    def lines(self, command, text):
        """Which of several servers answers a client first is open."""
        return sorted(text.splitlines()) if command.endswith("&") else text.splitlines()

    def set_up(self, shell, text):
        """Building is not repeated, the build under test takes the place of the release, and the folder is the test's."""
        if text.startswith("export "):
            shell.type(text.replace("build/release", BUILD))
        elif text.startswith("mkdir "):
            shell.type(f"cd '{shell.folder}'")
        else:
            for line in text.splitlines():
                self.assertTrue(os.access(os.path.join(SOURCE, line.split()[0]), os.X_OK), line)


if __name__ == "__main__":
    unittest.main()
