#!/usr/bin/env python3
"""docs/LUA.md: its blocks are one program, and what a line says it prints is printed."""
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
sys.dont_write_bytecode = True

from harness import SOURCE, Case  # noqa: E402


class Lua(Case):
    def test_the_page(self):
        with open(SOURCE + "/docs/LUA.md", encoding="utf-8") as file:
            program = "".join(re.findall(r"^```lua\n(.*?)^```$", file.read(), re.S | re.M))
        promised = re.findall(r" -- prints: (.*)$", program, re.M)
        self.assertGreater(len(promised), 15)
        done = self.run_clouds("run", self.file("page.lua", program + "\nclouds.shutdown()\n"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(sorted(" ".join(line.split()) for line in done.stdout.splitlines()), sorted(promised))


if __name__ == "__main__":
    unittest.main()
