#!/usr/bin/env python3
"""Dependencies run downwards only: reads every #include and fails on an arrow that points up."""
import os
import re
import sys

source = os.environ["CLOUDS_SOURCE"]
below = {
    "base": {"base"},
    "worker": {"worker", "base"},
    "proto": {"proto", "base"},
    "net": {"net", "base"},
    "core": {"core", "proto", "base"},
    "http": {"http", "net", "base"},
    "redis": {"redis", "net", "proto", "base"},
    "directory": {"directory", "redis", "http", "net", "proto", "base"},
    "transport": {"transport", "redis", "net", "proto", "base"},
    "bus": {"bus", "directory", "transport", "redis", "net", "proto", "base"},
    "trace": {"trace", "http", "net", "proto", "base"},
    "api": {"api", "core", "bus", "trace", "worker", "net", "proto", "base"},
}
REDIS_USERS = (["directory", "redis"], ["transport", "pubsub"], ["bus", "bus.c"], ["bus", "internal.h"])
JOIN_A_LOOP = ("host/", "bindings/node/", "examples/c/uv.c")  # of those who use the library, these know libuv
bad = 0


def complain(path, line, why):
    global bad
    bad += 1
    print(f"{os.path.relpath(path, source)}: {line.strip()}: {why}")


def files(folder):
    for root, _, names in os.walk(os.path.join(source, folder)):
        for name in names:
            if name.endswith((".c", ".h", ".def", ".cc", ".hpp")):
                yield os.path.join(root, name)


def includes(path):
    for line in open(path, errors="replace"):
        found = re.match(r'\s*#\s*include\s*([<"])([^>"]+)', line)
        if found:
            yield line, found.group(2)


def is_uv(name):
    return name == "uv.h" or name.startswith("uv/")


def check_library(path):
    parts = os.path.relpath(path, source + "/capi").split(os.sep)
    layer = parts[0]
    if layer == "include":
        return
    for line, name in includes(path):
        target = name.split("/")[0] if "/" in name else None
        if layer == "core" and name == "bus/bus.h":
            continue  # the interface of every bus, with no I/O in it
        if target in below and target not in below[layer]:
            complain(path, line, f"{layer} may not use {target}")
        if target == "redis" and layer != "redis" and parts[:2] not in REDIS_USERS:
            complain(path, line, "only what is on Redis uses the Redis client")
        if name.startswith("hiredis") and layer != "redis":
            complain(path, line, "only redis uses hiredis")
        if name.startswith("curl/") and layer != "http":
            complain(path, line, "only http uses libcurl")
        if name.startswith("openssl/") and layer != "net":
            complain(path, line, "only net uses OpenSSL")
        if layer in ("directory", "bus") and name == "net/conn.h":
            complain(path, line, "a directory, and a bus, knows no socket: that is a transport's")
        if is_uv(name) and layer != "net":
            complain(path, line, "only net uses libuv")
        if target in (None,) and name == "internal.h":
            complain(path, line, "name the folder")


def check_user(path):
    uv = os.path.relpath(path, source).startswith(JOIN_A_LOOP)
    for line, name in includes(path):
        target = name.split("/")[0] if "/" in name else None
        if target in below or target == "capi":
            complain(path, line, "outside of the library only its headers are used")
        if is_uv(name) and not uv:
            complain(path, line, "only what joins a loop uses libuv")


count = 0
for path in files("capi"):
    check_library(path)
    count += 1
for folder in ("host", "lua", "bindings", "examples"):
    for path in files(folder):
        check_user(path)
        count += 1
print(f"{count} files")
sys.exit(1 if bad or count < 20 else 0)
