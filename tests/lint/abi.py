#!/usr/bin/env python3
"""The ABI is still that of every recorded version: functions, constants, and members at the end of a record may have been
added, anything else fails. After a deliberate change of a version that is not released: tools/abi-record.sh. Every bit of
what abidiff says counts. That it notices what it must: mutants.py.
Usage: abi.py [debug] [recorded] [functions] [constants] [records] [extended]: these checks only."""
import hashlib
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from shapes import Shapes

source, library = os.environ["CLOUDS_SOURCE"], os.environ["CLOUDS_LIB"]
folder = source + "/capi/abi/"
now = Shapes()
# A record may have grown at its end. abidiff cannot tell this from other changes, so it leaves them to the check of the
# records.
GREW = "[suppress_type]\n  name_regexp = ^clouds_.*\n"


def versions():
    return sorted((name for name in os.listdir(folder) if re.fullmatch(r"\d+\.\d+\.\d+", name)),
                  key=lambda name: [int(part) for part in name.split(".")])


def debug():
    """A stripped library would compare as equal: insist on debug information."""
    with tempfile.TemporaryDirectory() as temporary:
        done = subprocess.run([source + "/tools/abi-record.sh", library, os.path.join(temporary, "now.abi")])
    if done.returncode:
        yield "its ABI cannot be read"


def recorded():
    """What is recorded of a released version is as it was; of the others there is only the one that is being made."""
    current = re.search(r'^#define CLOUDS_VERSION "(.*)"$', open(source + "/capi/include/clouds.h").read(), re.M).group(1)
    lines = [line.split() for line in open(folder + "released") if not line.startswith("#")]
    for version, *sums in lines:
        for name, wanted in zip(("clouds.h", "libclouds.abi", "clouds_extend.h"), sums):
            with open(folder + version + "/" + name, "rb") as file:
                if hashlib.sha256(file.read()).hexdigest() != wanted:
                    yield f"capi/abi/{version}/{name} has changed, and {version} is released"
    wanted = {version for version, *_ in lines} | {current}
    if set(versions()) != wanted:
        yield f"capi/abi has {', '.join(versions())}, not {', '.join(sorted(wanted))}"


def functions():
    for version in versions():
        with tempfile.NamedTemporaryFile("w", suffix=".suppr") as suppressed:
            suppressed.write(GREW)
            suppressed.flush()
            done = subprocess.run(["abidiff", "--no-added-syms", "--harmless", "--suppressions", suppressed.name,
                                   f"{folder}{version}/libclouds.abi", library])
        if done.returncode:
            yield f"the library is not compatible with {version}"
        for name, then in Shapes(f"{folder}{version}/clouds.h").functions.items():
            if now.functions.get(name) != then:
                yield f"{name} of {version} was {then}, and is {now.functions.get(name, 'gone')}"


def constants():
    for version in versions():
        then = Shapes(f"{folder}{version}/clouds.h").constants
        if len(then) < 50:
            yield f"only {len(then)} constants in {version}"
        for name, value in then.items():
            if now.constants.get(name) != value:
                yield f"a constant of {version} is gone, or has another value: {name} {value}"


def records():
    """A record of then is the beginning of the record of now. What is as it was in all has the same offset: the order
    and the types say where a member is. The least size of a record is that of its first version."""
    least = dict(re.findall(r"^RECORD\((\w+), (\w+)\)", open(source + "/capi/api/records.def").read(), re.M))
    for version in versions():
        then = Shapes(f"{folder}{version}/clouds.h").records
        if len(then) < 5:
            yield f"only {len(then)} records in {version}"
        for record, members in then.items():
            last = least.pop(record, None)
            if last and last != members[-1][0]:
                yield f"{record} of {version} ended with {members[-1][0]}, and its least size in records.def with {last}"
            for was, is_now in zip(members, now.records.get(record, []) + [None] * len(members)):
                if was != is_now:
                    yield f"{record} of {version} had {was[1]} {was[0]}, where now is {is_now}"
                    break


def extended():
    """Programs were built with the tables and records of a recorded clouds_extend.h: they grow at their end only."""
    today = Shapes(source + "/capi/include/clouds_extend.h")
    for version in versions():
        path = f"{folder}{version}/clouds_extend.h"
        if not os.path.exists(path):
            continue
        then = Shapes(path)
        for record, members in then.records.items():
            if today.records.get(record, [])[:len(members)] != members:
                yield f"{record} of clouds_extend.h is not what it was in {version}, with more at its end"
        for name, value in then.constants.items():
            if today.constants.get(name) != value:
                yield f"a constant of clouds_extend.h of {version} is gone, or has another value: {name} {value}"
        for name, kind in then.functions.items():
            if today.functions.get(name) != kind:
                yield f"{name} of {version} was {kind}, and is {today.functions.get(name, 'gone')}"


CHECKS = {"debug": debug, "recorded": recorded, "functions": functions, "constants": constants, "records": records,
          "extended": extended}


if __name__ == "__main__":
    faults = [fault for check in sys.argv[1:] or CHECKS for fault in CHECKS[check]()]
    print("\n".join(faults) or "as recorded: " + ", ".join(versions()))
    sys.exit(1 if faults else 0)
