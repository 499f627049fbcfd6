"""Puts what the tests need from npm into a folder of the build; beside it the test suite of clouds 0.1.14 as it is
installed, in a package whose require('../') is ours.

Usage: install.py FOLDER ORIGINAL PACKAGE.
"""
import json
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import npm  # noqa: E402


def main():
    folder, original, package = map(os.path.abspath, sys.argv[1:4])
    npm.install(HERE, folder)
    suite = os.path.join(folder, "suite")
    shutil.rmtree(suite, ignore_errors=True)
    shutil.copytree(os.path.join(original, "test"), os.path.join(suite, "test"))
    with open(os.path.join(suite, "index.js"), "w") as index:
        index.write(f"module.exports = require({json.dumps(package)});\n")
    print("ready:", folder)


if __name__ == "__main__":
    main()
