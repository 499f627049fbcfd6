#!/usr/bin/env python3
"""Every public function of clouds.h is described whole: parameters, ownership, errors, completion, thread, since."""
import os
import re
import sys

source = os.environ["CLOUDS_SOURCE"]
sys.path.insert(0, source + "/tools")
sys.dont_write_bytecode = True
import reference  # noqa: E402

HEADER = source + "/capi/include/clouds.h"
HANDLES = {"clouds_context *", "clouds_node *", "clouds_options *"}
functions, types = reference.read(HEADER)
codes = {row[0] for row in reference.errors(HEADER)}
events = {name for name, _ in reference.events(types)}
constants = set(re.findall(r"\bCLOUDS_[A-Z_]+\b", re.sub(r"/\*.*?\*/", "", open(HEADER).read(), flags=re.S)))
constants |= {"CLOUDS_URL", "CLOUDS_EVENT_", "CLOUDS_E"}  # the environment's variable; names with a star
names = {f.name for f in functions} | {t.name for t in types} | {"clouds_context", "clouds_node"}
bad = 0


def complain(function, why):
    global bad
    bad += 1
    print(f"{function.name}: {why}")


def check_fields(function):
    fields = function.fields
    if not re.fullmatch(r"\d+\.\d+", fields.get("Since", "")):
        complain(function, 'its comment does not end with "Since <version>."')
    if not re.match(r"any\b|by mode\b", fields.get("Thread", "")):
        complain(function, 'its comment has no "Thread: any." or "Thread: by mode."')
    if function.result == "int":
        listed = fields.get("Errors", "")
        if listed != "none" and not re.search(r"\bCLOUDS_E[A-Z]+", listed):
            complain(function, 'it returns int, and its comment has no "Errors: <codes>." or "Errors: none."')
        for code in re.findall(r"\bCLOUDS_E[A-Z]+\b(?!_)", listed):
            if code not in codes:
                complain(function, f"{code} is no error")


def check_completion(function):
    ids = [name for kind, name in function.parameters if kind == "uint64_t *" and name in ("call", "operation")]
    if not (ids or function.name.endswith("_close") or function.name == "clouds_node_create"):
        return
    words = function.fields.get("Completed by", "")
    named = re.findall(r"\bCLOUDS_EVENT_[A-Z_]+", words)
    if not named or set(named) - events:
        complain(function, 'something completes it later, and its comment has no "Completed by: CLOUDS_EVENT_..."')
    for name in ids:
        if f"*{name}" not in words:
            complain(function, f"its comment does not say that *{name} is the id of the event that completes it")


def check_parameters(function):
    for kind, name in function.parameters:
        own = kind in HANDLES and name in ("context", "node", "options")
        if not own and not re.search(rf"\b{name}\b", function.comment):
            if not (kind.endswith("*") and function.name.endswith("_destroy")):
                complain(function, f"its comment does not mention the parameter {name}")
        if kind.endswith("**") and kind[:-2].strip() != "const char":
            if "destroy" not in function.comment and kind != "clouds_node **":
                complain(function, f"its comment does not say how *{name} is destroyed")


def check_words(function):
    text = function.comment
    for word in re.findall(r"\bclouds_\w+", text):
        if word not in names:
            complain(function, f"its comment mentions {word}, which is not there")
    for word in re.findall(r"\bCLOUDS_\w+", text):
        if word not in constants:
            complain(function, f"its comment mentions {word}, which is not there")
    if re.search(r"\bas (above|below)\b", text):
        complain(function, "its comment says 'as above': each stands for itself")


for one in functions:
    if not one.comment:
        complain(one, "no comment")
        continue
    for check in (check_fields, check_completion, check_parameters, check_words):
        check(one)
declared = set(re.findall(r"^CLOUDS_API[^;(]*?\b(\w+)\(", open(HEADER).read(), re.M))
if declared != {f.name for f in functions} or len(declared) < 38:
    print("not all functions were read:", declared ^ {f.name for f in functions})
    bad += 1
for one in types:
    if one.name == "clouds_event_type" and len(events) != len(re.findall(r"CLOUDS_EVENT_\w+ =", one.declaration)):
        print("an event without a comment")
        bad += 1
print(f"{len(functions)} functions, {len(events)} events, {bad} faults")
sys.exit(1 if bad else 0)
