#!/usr/bin/env python3
"""What code and documentation refer to is there: pages (docs/WIRE.md), their sections (WIRE.md 5.2), and, in the pages, paths of the
sources and tests by their names (docs/PROMISES.md).
Usage: references.py [FOLDER]: FOLDER in the place of the sources, for the test of this program."""
import glob
import os
import re
import subprocess
import sys

source = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.environ["CLOUDS_SOURCE"])
SKIPPED = {"build", ".git", "node_modules", "corpus", "__pycache__"}
TEXTS = (".c", ".h", ".def", ".cpp", ".lua", ".py", ".js", ".ts", ".json", ".md", ".txt", ".cmake", ".sh", ".in", ".map")
ELSEWHERE = {"package/README.md"}  # in a tarball for npm
TOP = ("capi", "lua", "host", "bindings", "docs", "examples", "tests", "tools", "cmake")

# "WIRE.md 5.2", "docs/WIRE.md, sections 1 and 2". A comment may break the line anywhere, so breaks are blanks here.
PAGE = re.compile(r"(?<![\w/*}.-])((?:\.\./|[\w-]+/)*[A-Z][A-Z_]+\.md)\b(?:,?(?: sections?)? (\d+(?:\.\d+)*(?: and \d+(?:\.\d+)*)?)(?![\w.]*\w))?")
BREAK = re.compile(r"\s*\n\s*(?:(?:\*|//|#|--|;)(?=\s))?\s*")
QUOTED = re.compile(r"`(\.?/?(?:%s)/[\w./*{},-]+)`" % "|".join(TOP))
TEST = re.compile(r"`(tests/[\w./-]+):([^`]+)`")
# How a test with that name begins: a function, or where tests have texts for names.
TESTS = {".json": r'\{{"name": "{}"', ".lua": r'^t\.test\("{}"', ".js": r"^ *test\(['`]{}['`]"}
bad = count = 0


def complain(path, why):
    global bad
    bad += 1
    print(f"{os.path.relpath(path, source)}: {why}")


def texts():
    """The files of the sources: those that git has, or in a copy without git all."""
    listed = subprocess.run(["git", "-C", source, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, text=True)
    if listed.returncode == 0 and os.path.exists(source + "/.git"):
        names = [os.path.join(source, name) for name in listed.stdout.split("\0") if name]
    else:
        names = [os.path.join(root, name) for root, folders, files in os.walk(source) for name in files]
    for name in sorted(names):
        parts = os.path.relpath(name, source).split(os.sep)
        if not SKIPPED.intersection(parts) and (name.endswith(TEXTS) or "." not in parts[-1]) and os.path.isfile(name):
            yield name


def page(path, name):
    """The page that a file means by a name: beside it, below the sources, or in docs."""
    for folder in (os.path.dirname(path), source, source + "/docs"):
        found = os.path.normpath(os.path.join(folder, name))
        if os.path.exists(found):
            return found
    return None


def sections(path):
    """The numbers of a page's headings."""
    with open(path, encoding="utf-8") as file:
        plain = re.sub(r"^```.*?^```", "", file.read(), flags=re.S | re.M)
    return set(re.findall(r"^#+ (\d+(?:\.\d+)*)\.? ", plain, re.M))


def check_pages(path, text):
    global count
    for name, numbers in PAGE.findall(BREAK.sub(" ", text)):
        if name in ELSEWHERE:
            continue
        count += 1
        found = page(path, name)
        if not found:
            complain(path, f"{name} is not there")
            continue
        for number in re.findall(r"[\d.]+", numbers):
            if number not in sections(found):
                complain(path, f"{name} has no section {number}")


def braces(pattern):
    """a.{c,h} as a.c and a.h."""
    found = re.search(r"\{([^}]*)\}", pattern)
    if not found:
        return [pattern]
    return [one for word in found[1].split(",") for one in braces(pattern[:found.start()] + word + pattern[found.end():])]


def check_paths(path, text):
    global count
    for quoted in QUOTED.findall(text):
        for pattern in braces(quoted):
            count += 1
            if not any(glob.glob(os.path.join(folder, pattern)) for folder in (source, os.path.dirname(path))):
                complain(path, f"{pattern} is not there")


def check_tests(path, text):
    """`tests/core/test_call.c:cancel_completes` is a function of that file, `tests/lua/once.lua:versions` a test."""
    global count
    for name, test in TEST.findall(text):
        count += 1
        if not os.path.isfile(os.path.join(source, name)):
            complain(path, f"{name} is not there")
            continue
        begins = TESTS.get(os.path.splitext(name)[1], r"^(?:static .*\b| *(?:async )?def ){}\(")
        with open(os.path.join(source, name), encoding="utf-8") as file:
            if not re.search(begins.format(re.escape(test)), file.read(), re.M):
                complain(path, f"{name} has no {test}")


for path in texts():
    if path.endswith("/tests/lint/mutants.py"):  # it has wrong ones on purpose
        continue
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read()
    check_pages(path, text)
    if path.endswith(".md") and os.path.basename(path) != "CHANGELOG.md":  # that one speaks of what was
        check_paths(path, text)
        check_tests(path, text)
print(f"{count} references, {bad} bad")
sys.exit(1 if bad or count < (1 if len(sys.argv) > 1 else 150) else 0)
