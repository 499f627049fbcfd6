#!/usr/bin/env python3
"""The functions of clouds.h and clouds_extend.h, the list in clouds.map and what the library exports are the same; and each function is in the
version node of the version that brought it, so that a program never starts with a library that lacks one."""
import os
import re
import subprocess
import sys

source, library = os.environ["CLOUDS_SOURCE"], os.environ["CLOUDS_LIB"]
sys.path.insert(0, source + "/tools")
sys.dont_write_bytecode = True
import reference  # noqa: E402

bad = 0


def complain(words):
    global bad
    bad = 1
    print(words)


def number(version):
    return tuple(int(part) for part in version.split(".")[:2])


def functions_of(header):
    return set(re.findall(r"^CLOUDS_API[^;(]*?\b(\w+)\(", open(header).read(), re.M))


def read_map():
    """The nodes, and the node of each function."""
    text = re.sub(r"/\*.*?\*/", "", open(source + "/capi/clouds.map").read(), flags=re.S)
    nodes, listed = [], {}
    for name, body, parent in re.findall(r"(\S+)\s*\{(.*?)\}\s*(\S*?)\s*;", re.sub(r"\s*\n\s*", " ", text)):
        if not re.fullmatch(r"CLOUDS_\d+\.\d+", name) or parent != (nodes[-1] if nodes else ""):
            complain(f"the node {name} of clouds.map is not CLOUDS_<major>.<minor>, or does not inherit from the one before")
        nodes.append(name)
        for symbol in re.findall(r"\b(clouds_\w+);", body):
            if symbol in listed:
                complain(f"{symbol} is twice in clouds.map")
            listed[symbol] = name
    return nodes, listed


def read_library():
    lines = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    names = [line.split()[-1] for line in lines.splitlines()]
    return {name.partition("@")[0]: name.rpartition("@")[2] for name in names}


def check_nodes(nodes, listed):
    """What is newer than the first node is in the one that its comment names; what a released version does not have is in
    a later one."""
    functions = [one for name in ("clouds.h", "clouds_extend.h") for one in reference.read(f"{source}/capi/include/{name}")[0]]
    first = number(nodes[0][len("CLOUDS_"):])
    for one in functions:
        since = re.match(r"\d+\.\d+", one.fields.get("Since", ""))
        node = listed.get(one.name)
        if since and node and number(node[len("CLOUDS_"):]) != max(number(since.group()), first):
            complain(f"{one.name} is since {since.group()}, and in the node {node} of clouds.map")
    for line in open(source + "/capi/abi/released"):
        version = line.split()[0]
        if version == "#":
            continue
        for name in listed.keys() - functions_of(f"{source}/capi/abi/{version}/clouds.h"):
            if number(listed[name][len("CLOUDS_"):]) <= number(version):
                complain(f"{name} is in the node {listed[name]} of clouds.map, and {version} does not have it")


declared = functions_of(source + "/capi/include/clouds.h") | functions_of(source + "/capi/include/clouds_extend.h")
nodes, listed = read_map()
exported = read_library()
found = set(exported) - set(nodes)
for name, a, b in (("clouds.h", declared, set(listed)), ("clouds.map", set(listed), found), ("the library", found, declared)):
    for symbol in sorted(a - b):
        complain(f"only in {name}: {symbol}")
for name in sorted(found & set(listed)):
    if exported[name] != listed[name]:
        complain(f"{name} is exported as of {exported[name]}, and not {listed[name]}")
if not declared:
    sys.exit("no functions found in clouds.h")
check_nodes(nodes, listed)
print(f"{len(declared)} functions in {len(nodes)} nodes")
sys.exit(bad)
