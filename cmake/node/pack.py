#!/usr/bin/env python3
"""Makes the package for npm. Usage: pack.py BUILD WORK OUT: the addon and the library come out of BUILD; what lies in
WORK afterwards is what the package was made of."""
import json
import os
import platform
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SOURCE = os.path.join(ROOT, "bindings", "node")
MACHINES = {"x86_64": "x64", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "ppc64"}


def run(*command, **more):
    subprocess.run(command, check=True, **more)


def copy_sources(package, work):
    """What package.json lists and the sources have; the rest of its list is made here."""
    for name in package["files"]:
        path = os.path.join(SOURCE, name)
        if os.path.isdir(path):
            shutil.copytree(path, os.path.join(work, name))
        elif os.path.exists(path):
            shutil.copy(path, os.path.join(work, name))
    shutil.copy(os.path.join(ROOT, "docs", "NODE.md"), work + "/README.md")
    run(sys.executable, os.path.join(ROOT, "cmake", "packed_links.py"), work)


def main():
    build, work, out = map(os.path.abspath, sys.argv[1:])
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    with open(SOURCE + "/package.json", encoding="utf-8") as file:
        package = json.load(file)
    copy_sources(package, work)
    package.update(cpu=[MACHINES.get(platform.machine(), platform.machine())], libc=["glibc"])
    with open(work + "/package.json", "w", encoding="utf-8") as file:
        json.dump(package, file, indent=2)
    run("cmake", "--install", build, "--component", "node", "--prefix", work, "--strip")
    run(sys.executable, os.path.join(ROOT, "cmake", "bundle.py"), build + "/capi/carried/libclouds.so.0", work)
    missing = [name for name in package["files"] if not os.path.exists(os.path.join(work, name))]
    if missing:
        sys.exit(f"package.json lists what is not there: {missing}")
    run("npm", "pack", "--offline", "--ignore-scripts", "--pack-destination", out, cwd=work,
        env=dict(os.environ, npm_config_cache=work + ".cache", npm_config_update_notifier="false"))


if __name__ == "__main__":
    main()
