#!/usr/bin/env python3
"""The names that docs/GLOSSARY.md gives to a term in each language are there."""
import glob
import os
import re
import unittest

SOURCE = os.environ["CLOUDS_SOURCE"]


def text(pattern):
    """The files of a pattern, one behind the other."""
    found = []
    for path in sorted(glob.glob(os.path.join(SOURCE, pattern))):
        with open(path, encoding="utf-8") as file:
            found.append(file.read())
    return "".join(found)


CONFIGURATION = text("docs/CONFIGURATION.md")
COLUMNS = (
    text("capi/include/clouds.h") + CONFIGURATION,
    text("lua/meta/clouds.lua"),
    text("bindings/python/clouds/*.py"),
    text("bindings/node/index.d.ts"),
    text("docs/CLI.md"),
    CONFIGURATION[CONFIGURATION.index("## Counters"):],
)


class Glossary(unittest.TestCase):
    def test_the_names_are_there(self):
        table = text("docs/GLOSSARY.md").split("## The same word everywhere")[1].split("\n## ")[0]
        rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| ")][1:]
        self.assertGreater(len(rows), 10)
        for row in rows:
            for column, cell in zip(COLUMNS, row[1:]):
                for name in re.findall(r"`([^`]+)`", cell):
                    word = name if " " in name or name.startswith("-") else re.split(r"[.:]", name)[-1]
                    self.assertRegex(column, rf"(?<!\w){re.escape(word)}\b", f"{row[0].strip()}: {name}")

    def test_each_term_is_explained_once(self):
        page = text("docs/GLOSSARY.md")
        terms = [term for line in page.splitlines() if line.startswith("| **")
                 for term in re.findall(r"\*\*([^*]+)\*\*", line.split("|")[1])]
        self.assertGreater(len(terms), 40)
        self.assertEqual([term for term in terms if terms.count(term) > 1], [])


if __name__ == "__main__":
    unittest.main()
