#!/usr/bin/env python3
"""What is installed is enough: a program is built against it by pkg-config and by find_package, and runs."""
import os
import subprocess
import sys
import tempfile

source, build = os.environ["CLOUDS_SOURCE"], os.environ["CLOUDS_BUILD_DIR"]

LISTS = """cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
find_package(clouds 0.1 REQUIRED)
add_executable(consumer client.c)
target_link_libraries(consumer PRIVATE clouds::clouds)
"""


def run(*command, **more):
    done = subprocess.run(command, text=True, capture_output=True, **more)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def refuses(program, environment):
    """It runs: a bad address is refused by the library, in its own words."""
    done = subprocess.run([program, "[]", "nonsense:"], text=True, capture_output=True, env=environment)
    if done.returncode != 1 or "expected redis:" not in done.stderr:
        sys.exit(f"{program}: {done.returncode} {done.stderr}")


with tempfile.TemporaryDirectory(prefix="clouds-") as home:
    prefix = home + "/usr"
    for component in ("library", "development"):
        run("cmake", "--install", build, "--prefix", prefix, "--component", component)
    libdir = os.path.dirname(next(os.path.join(root, name) for root, _, names in os.walk(prefix) for name in names
                                  if name == "libclouds.so"))
    client = source + "/examples/c/client.c"
    environment = dict(os.environ, PKG_CONFIG_PATH=libdir + "/pkgconfig", LD_LIBRARY_PATH=libdir)

    flags = run("pkg-config", "--define-variable=prefix=" + prefix, "--cflags", "--libs", "clouds", env=environment).split()
    run("cc", client, "-o", home + "/by-pkg-config", *flags)
    refuses(home + "/by-pkg-config", environment)
    version = run("pkg-config", "--modversion", "clouds", env=environment).strip()

    os.mkdir(home + "/consumer")
    open(home + "/consumer/CMakeLists.txt", "w").write(LISTS)
    open(home + "/consumer/client.c", "w").write(open(client).read())
    run("cmake", "-S", home + "/consumer", "-B", home + "/build", "-DCMAKE_PREFIX_PATH=" + prefix)
    run("cmake", "--build", home + "/build")
    refuses(home + "/build/consumer", environment)
print("both build and run, version", version)
