#!/usr/bin/env python3
"""Puts together what a wheel or an npm package carries: a library, what it needs of the system (but for the C library),
and the licence of each. Usage: bundle.py LIBRARY FOLDER [--licenses FOLDER]; prints the oldest glibc it runs with."""
import argparse
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
SYSTEM = re.compile(r"(linux-vdso|ld-linux|lib(c|m|dl|rt|pthread|gcc_s|stdc\+\+)\.so)")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def needed(library):
    """Name and path of every shared library that `library` needs and a bare system does not have."""
    for line in output("ldd", library).splitlines():
        found = re.match(r"\s*(\S+) => (/\S+)", line)
        if found and not SYSTEM.search(os.path.basename(found.group(1))):
            yield found.group(1), os.path.realpath(found.group(2))


def copyright_of(path):
    """The package that a file comes from, and what that says about its copyright."""
    package = output("dpkg-query", "--search", path).split(":")[0]
    return package, f"/usr/share/doc/{package}/copyright"


def glibc(library):
    """The newest version of glibc that a library asks for."""
    versions = re.findall(r"GLIBC_(\d+)\.(\d+)", output("objdump", "--dynamic-syms", library))
    return max(tuple(map(int, version)) for version in versions)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("library")
    options.add_argument("folder")
    options.add_argument("--licenses")
    chosen = options.parse_args()
    licenses = chosen.licenses or chosen.folder
    os.makedirs(chosen.folder, exist_ok=True)
    os.makedirs(licenses, exist_ok=True)
    shutil.copy(os.path.join(os.path.dirname(HERE), "LICENSE"), os.path.join(licenses, "LICENSE"))
    parts = [(os.path.basename(chosen.library), chosen.library), *needed(chosen.library)]
    for name, path in parts:
        target = os.path.join(chosen.folder, name)
        subprocess.run(["strip", "--strip-unneeded", "-o", target, path], check=True)
        os.chmod(target, 0o644)
        if path != chosen.library:
            package, text = copyright_of(path)
            shutil.copy(text, os.path.join(licenses, "LICENSE." + package))
    print("%d.%d" % max(glibc(os.path.join(chosen.folder, name)) for name, _ in parts))


if __name__ == "__main__":
    main()
