#!/usr/bin/env python3
"""What the library tells of its own shape is what clouds.h says: the members of all records, the names of all events, all
errors. And the records have the same layout on every ABI of one word size, without padding.
Usage: layout.py [members] [names] [words]: these checks only."""
import ctypes
import os
import platform
import re
import subprocess
import sys

sys.dont_write_bytecode = True
from shapes import Shapes

source = os.environ["CLOUDS_SOURCE"]
shapes = Shapes()
KINDS = {"uint32_t": "uint32", "int32_t": "int32", "uint64_t": "uint64", "int64_t": "int64", "double": "double",
         "size_t": "size", "const char *": "text", "const void *": "bytes", "char *": "room", "void *": "pointer"}
WORDS = (("-m64",), ("-m64", "-malign-double")), (("-m32",), ("-m32", "-malign-double"), ("-mx32",))


class Info(ctypes.Structure):  # as clouds_layout_info; that it is, the first check shows
    _fields_ = [(name, ctypes.c_uint32) for name in ("size", "record_size", "offset", "length")] + \
               [(name, ctypes.c_char_p) for name in ("record", "member", "kind")]


def library():
    loaded = ctypes.CDLL(os.environ["CLOUDS_LIB"])
    loaded.clouds_event_name.restype = ctypes.c_char_p
    return loaded


def kind_of(kind):
    return KINDS.get(kind) or ("handle" if re.fullmatch(r"clouds_\w+ \*", kind) else kind)


def members():
    lib, told, info = library(), [], Info(ctypes.sizeof(Info))
    while lib.clouds_layout(len(told), ctypes.byref(info)) == 0:
        told.append((info.record.decode(), info.member.decode(), info.kind.decode()))
    wanted = [(record, name, kind_of(kind)) for record, rows in shapes.records.items() for name, kind in rows]
    for row in wanted:
        if row not in told:
            yield f"clouds_layout does not tell of {row}: capi/api/records.def"
    for row in told:
        if row not in wanted:
            yield f"clouds_layout tells of {row}, which clouds.h does not have"
    if not wanted or sorted(told) != sorted(wanted):
        yield f"{len(wanted)} members in clouds.h, {len(told)} in clouds_layout"


def names():
    lib = library()
    events = {value: name[len("CLOUDS_EVENT_"):] for name, value in shapes.constants.items()
              if name.startswith("CLOUDS_EVENT_")}
    for number in range(max(events) + 20):
        told = lib.clouds_event_name(number).decode()
        if told != events.get(number, ""):
            yield f"clouds_event_name({number}) is '{told}', not '{events.get(number, '')}'"
    errors = {value for name, value in shapes.constants.items() if value < 0}
    told, index = set(), 0
    while lib.clouds_error_at(index) and index < 1000:
        told.add(lib.clouds_error_at(index))
        index += 1
    if told != errors or index != len(errors):
        yield f"clouds_error_at tells of {sorted(told)}, not of {sorted(errors)}"


def offsets(flags):
    """The offset of each member and the size of each record with these flags of the compiler, read in what it makes of
    them, since to link or run it would take libraries that are not there; None when it does not know the flags."""
    rows = [(record, name) for record, members in shapes.records.items() for name, _ in members]
    values = [f"offsetof({record}, {name})" for record, name in rows] + [f"sizeof({r})" for r in shapes.records] + \
             [f"sizeof((({record} *)0)->{name})" for record, name in rows]
    text = '#include "clouds.h"\nconst unsigned marked[] = {' + ", ".join(f"{value} + 1" for value in values) + "};\n"
    done = subprocess.run(["cc", *flags, "-ffreestanding", "-fno-lto", "-S", "-x", "c", "-I" + source + "/capi/include",
                           "-", "-o", "-"], input=text, capture_output=True, text=True)
    if done.returncode:
        if "clouds.h" in done.stderr:
            sys.exit(done.stderr)
        return None
    numbers = [int(n) - 1 for n in re.findall(r"^\s*\.long\s+(\d+)", done.stdout, re.M)]
    assert len(numbers) == len(values), done.stdout
    names = [".".join(row) for row in rows]
    return dict(zip(names + list(shapes.records), numbers)), dict(zip(names, numbers[-len(names):]))


def padding(found, lengths):
    """The members behind which something lies that is none."""
    for record, members in shapes.records.items():
        names = [f"{record}.{name}" for name, _ in members]
        for name, following in zip(names, [found[one] for one in names[1:]] + [found[record]]):
            if found[name] + lengths[name] != following:
                yield name


def words():
    if platform.machine() != "x86_64":
        print("skipped: only the compilers of x86-64 make programs of several ABIs")
        return
    for flags in WORDS:
        compiled = {chosen: found for chosen in flags if (found := offsets(chosen))}
        known = {chosen: found for chosen, (found, _) in compiled.items()}
        print(" = ".join(" ".join(chosen) for chosen in known) or "skipped: " + str(flags))
        for chosen, found in compiled.items():
            for name in padding(*found):
                yield f"{name} is followed by padding with {' '.join(chosen)}"
        first = next(iter(known.values()), {})
        for chosen, found in known.items():
            for name, value in found.items():
                if value != first[name]:
                    yield f"{name}: {value} with {' '.join(chosen)}, else {first[name]}"


CHECKS = {"members": members, "names": names, "words": words}
faults = [fault for check in sys.argv[1:] or CHECKS for fault in CHECKS[check]()]
print("\n".join(faults) or f"{len(shapes.records)} records")
sys.exit(1 if faults else 0)
