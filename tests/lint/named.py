#!/usr/bin/env python3
"""Tests that are called by a name and a number (H7, C12): a table in docs/PROMISES.md has each, with what it asks and the tests that show it.

A table stands between `<!-- names: H1-H25 C1-C36 of tests/host -->` and `<!-- end of names -->`. Each name has one row; each test in that
folder that a row names has the name of the row in its own (test_H7_one_that_is_stopped), and each that has the name is in the row.
Usage: named.py [FOLDER]: FOLDER in the place of the sources, for the test of this program."""
import collections
import glob
import os
import re
import sys

source = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.environ["CLOUDS_SOURCE"])
TABLE = re.compile(r"<!-- names: ([^>]+?) of (tests/[\w/]+) -->\n(.*?)<!-- end of names -->", re.S)
ROW = re.compile(r"^\| ([A-Z]\d+) \| ([^|]*) \| (.*) \|$", re.M)
TEST = re.compile(r"`(tests/[\w./-]+):(\w+)`")
bad = count = 0


def complain(why):
    global bad
    bad += 1
    print(f"docs/PROMISES.md: {why}")


def expected(ranges):
    """H1-H3 C2: H1, H2, H3, C2."""
    for letter, first, last in re.findall(r"\b([A-Z])(\d+)(?:-\1(\d+))?\b", ranges):
        yield from (f"{letter}{number}" for number in range(int(first), int(last or first) + 1))


def names_of(test):
    """test_C5_C6_listeners: C5 and C6."""
    return re.findall(r"[A-Z]\d+", re.match(r"(?:test_)?((?:[A-Z]\d+_)*)", test)[1])


def tests_of(folder):
    """name -> (file, test) that have it."""
    found = collections.defaultdict(set)
    for path in glob.glob(f"{source}/{folder}/*.py"):
        with open(path, encoding="utf-8") as file:
            for test in re.findall(r"^ +(?:async )?def (test_\w+)\(", file.read(), re.M):
                for name in names_of(test):
                    found[name].add((os.path.relpath(path, source), test))
    return found


def check_row(name, what, tests, folder, own):
    if not what.strip():
        complain(f"{name} does not say what it asks")
    if not tests:
        complain(f"{name} has no test")
    for path, test in tests:
        if path.startswith(folder + "/test_") and name not in names_of(test):
            complain(f"{name}: {path}:{test} does not have the name")
    for path, test in sorted(own - set(tests)):
        complain(f"{name}: {path}:{test} has the name, and is not in the row")


def check_table(ranges, folder, table):
    global count
    named, rows = tests_of(folder), ROW.findall(table)
    listed, wanted = [row[0] for row in rows], list(expected(ranges))
    for name in sorted(set(wanted) ^ set(listed) | {name for name in listed if listed.count(name) > 1}):
        complain(f"{name}: expected one row, found {listed.count(name)}; the table is of {ranges}")
    for name, what, tests in rows:
        count += 1
        check_row(name, what, TEST.findall(tests), folder, named[name])
    for name in sorted(set(named) - set(listed)):
        if name[0] in ranges:
            complain(f"{name}: tests have the name, and there is no row")


with open(f"{source}/docs/PROMISES.md", encoding="utf-8") as page:
    for one in TABLE.findall(page.read()):
        check_table(*one)
print(f"{count} names, {bad} faults")
sys.exit(1 if bad or not count else 0)
