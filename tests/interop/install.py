"""Puts npm clouds@0.1.14 and what it needs, in the versions of package-lock.json, into a folder of the build.

Usage: install.py FOLDER. What is there already from the same lock file is used as it is.
"""
import hashlib
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = ("package.json", "package-lock.json")


def fingerprint():
    digest = hashlib.sha256()
    for name in FILES:
        with open(os.path.join(HERE, name), "rb") as source:
            digest.update(source.read())
    return digest.hexdigest()


def is_installed(folder, wanted):
    try:
        with open(os.path.join(folder, "installed")) as stamp:
            return stamp.read() == wanted
    except OSError:
        return False


def install(folder):
    os.makedirs(folder, exist_ok=True)
    for name in FILES:
        shutil.copy(os.path.join(HERE, name), folder)
    npm = shutil.which("npm")
    if not npm:
        sys.exit("npm is not there: the interop tests need Node.js and npm")
    result = subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
                            cwd=folder, stdin=subprocess.DEVNULL)
    if result.returncode != 0:
        sys.exit("npm could not install clouds@0.1.14: the interop tests need the npm registry once")


def main():
    folder, wanted = os.path.abspath(sys.argv[1]), fingerprint()
    if not is_installed(folder, wanted):
        install(folder)
        with open(os.path.join(folder, "node_modules", "clouds", "package.json")) as package:
            version = json.load(package)["version"]
        if version != "0.1.14":
            sys.exit(f"npm installed clouds {version} instead of 0.1.14")
        with open(os.path.join(folder, "installed"), "w") as stamp:
            stamp.write(wanted)
    print("clouds@0.1.14 is in", folder)


if __name__ == "__main__":
    main()
