#!/usr/bin/env python3
"""docs/OPERATIONS.md: the log lines and counters that it names are those of the library, and so are its numbers."""
import glob
import os
import re
import unittest

SOURCE = os.environ["CLOUDS_SOURCE"]


def text(pattern):
    """The files of a pattern, one behind the other."""
    found = []
    for path in sorted(glob.glob(os.path.join(SOURCE, pattern), recursive=True)):
        with open(path, encoding="utf-8") as file:
            found.append(file.read())
    return "".join(found)


PAGE = text("docs/OPERATIONS.md")
CONFIGURATION = text("docs/CONFIGURATION.md")
UNITS = {"": 1, "MB": 1 << 20, "s": 1}


def table(head):
    """The rows of the table with this head."""
    rows = PAGE.split(head)[1].split("\n\n")[0].splitlines()[2:]
    assert rows
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


class Operations(unittest.TestCase):
    def test_log_lines(self):
        code = re.sub(r'"\s*\n\s*"', "", text("capi/**/*.[ch]"))
        code = re.sub(r"%(?:\.\*|\.\d+|ll|z)?[a-z]+", "...", code).replace("......", "...")
        for (line, _) in table("| line | then |"):
            for part in line.strip("`").split("..."):
                self.assertIn(part.strip(), code, line)

    def test_counters(self):
        for row in table("| counter | when it grows | then |"):
            for name in re.findall(r"`(\w+)`", row[0]):
                self.assertIn(f"| `{name}` |", CONFIGURATION[CONFIGURATION.index("## Counters"):])

    def test_numbers(self):
        defaults = {name: float(value) for name, value in
                    re.findall(r"^\| `(\w+)` \| number \| \w* *\| `([\d.]+)`", CONFIGURATION, re.M)}
        named = re.findall(r"`(\w+)` \(?(\d[\d ]*\d|\d)(?: (MB|s)\b)?", PAGE)
        self.assertGreater(len(named), 10)
        for name, number, unit in named:
            if name in defaults:
                self.assertEqual(float(number.replace(" ", "")) * UNITS[unit], defaults[name], name)


if __name__ == "__main__":
    unittest.main()
