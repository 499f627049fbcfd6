#!/usr/bin/env python3
"""A rule stands once, in C; the languages ask the library for it. What they had copies of once is not copied again."""
import os
import re
import sys

source = os.environ["CLOUDS_SOURCE"]
FOLDERS = ("lua", "host", "bindings")
# Made from the header, or nothing that runs.
EXCEPT = ("_abi.py", "errors.py", "_keywords.py")
ANNOTATIONS = os.path.join(source, "lua", "meta")
COPIES = (
    (r"APP_ERROR\W+NOT_DONE\W+UNKNOWN", "the names of the outcomes", "clouds_outcome_name"),
    (r"(?i)max_?retries *= *\d", "the most retries", "clouds_option_describe, maximum"),
    (r"INVALID_URL.*\n?.*INVALID_OPTION", "the errors that are a wrong usage", "clouds_exit_code"),
    (r"(?i)\bUNREACHABLE *= *3\b", "exit codes", "enum clouds_exit"),
    (r"CLOUDS_CONNECTION_LOST\W+true", "what a registration is repeated after", "the number of REGISTERED"),
    (r"(?i)\bqueue *= *1024\b", "how many messages wait", "CLOUDS_SUBSCRIBE_QUEUE"),
    (r"\b2147483(\.0)?\b", "the longest period", "CLOUDS_LONGEST_SECONDS"),
    (r"[\"']\\?\$\$", "escaped names of bytes", "clouds_bytes_mark"),
)


def files():
    for folder in FOLDERS:
        for root, folders, names in os.walk(os.path.join(source, folder)):
            folders[:] = [name for name in folders if name not in ("node_modules", "__pycache__")]
            for name in names:
                if name.endswith((".c", ".h", ".lua", ".py", ".js")) and name not in EXCEPT and root != ANNOTATIONS:
                    yield os.path.join(root, name)


faults = []
for path in files():
    with open(path, encoding="utf-8") as file:
        text = file.read()
    for pattern, what, where in COPIES:
        for found in re.finditer(pattern, text):
            line = text.count("\n", 0, found.start()) + 1
            faults.append(f"{os.path.relpath(path, source)}:{line}: a copy of {what}: ask for {where}")
print("\n".join(faults) or "no copies of rules")
sys.exit(bool(faults))
