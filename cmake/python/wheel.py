#!/usr/bin/env python3
"""Makes the wheel. Usage: wheel.py LIBRARY WORK OUT, LIBRARY being the one that is to be carried.

What lies in WORK afterwards is what the wheel was made of: bindings/python, the library, documentation, licences.
"""
import os
import platform
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SOURCE = os.path.join(ROOT, "bindings", "python")


def add_readme(work):
    """docs/PYTHON.md is what a package index shows."""
    shutil.copy(os.path.join(ROOT, "docs", "PYTHON.md"), work + "/README.md")
    subprocess.run([sys.executable, os.path.join(ROOT, "cmake", "packed_links.py"), work], check=True)
    with open(SOURCE + "/pyproject.toml", encoding="utf-8") as file:
        text = file.read().replace("[project]\n", '[project]\nreadme = "README.md"\n')
    with open(work + "/pyproject.toml", "w", encoding="utf-8") as file:
        file.write(text)


def main():
    library, work, out = map(os.path.abspath, sys.argv[1:])
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(SOURCE + "/clouds", work + "/clouds", ignore=shutil.ignore_patterns("__pycache__", "_lib"))
    shutil.copy(HERE + "/setup.py", work)
    add_readme(work)
    bundle = [sys.executable, os.path.join(ROOT, "cmake", "bundle.py"), library, work + "/clouds/_lib",
              "--licenses", work]
    glibc = subprocess.run(bundle, check=True, stdout=subprocess.PIPE, text=True).stdout.strip().replace(".", "_")
    environment = dict(os.environ, CLOUDS_PLATFORM=f"manylinux_{glibc}_{platform.machine()}")
    subprocess.run([sys.executable, "setup.py", "-q", "bdist_wheel", "--dist-dir", out], cwd=work, check=True,
                   env=environment)


if __name__ == "__main__":
    main()
