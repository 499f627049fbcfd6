#!/usr/bin/env python3
"""Writes docs/REFERENCE.md from clouds.h: reference.py FILE, or with --check compares. Also: what clouds.h says, as objects."""
import argparse
import os
import re
import sys
from dataclasses import dataclass, field

HEADER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../capi/include/clouds.h")
FIELDS = ("Completed by", "Errors", "Thread", "Since")


def contents(path):
    with open(path) as file:
        return file.read()


@dataclass
class Function:
    """One function: its declaration, and its comment taken apart."""
    name: str
    declaration: str
    result: str
    parameters: list  # (type, name)
    comment: str
    section: str
    text: str = ""
    fields: dict = field(default_factory=dict)


@dataclass
class Type:
    """A struct, enum or function type, as it stands in the header."""
    name: str
    declaration: str
    comment: str
    section: str


def unwrapped(comment):
    """The words of a comment: lines joined to paragraphs, but for indented ones, which stay lines."""
    lines = [re.sub(r"^\s*\* ?", "", line) for line in re.sub(r"^/\*|\*/$", "", comment.strip()).strip().split("\n")]
    out = []
    for line in lines:
        if line.startswith("  "):
            out.append("    " + line.strip())
        elif out and out[-1] and not out[-1].startswith("    ") and line:
            out[-1] += " " + line.strip()
        else:
            out.append(line.strip())
    return "\n".join(out)


def take_fields(text):
    """Takes `Errors: ...` and the like out of the words: each is one sentence. Gives what is left, and the fields."""
    found = {}
    for name in FIELDS:
        match = re.search(rf"\b{name}:? +(.*?)\.(?=\s|$)", text)
        if match and (name == "Since" or match.group(0).startswith(name + ":")):
            found[name] = match.group(1)
            text = text[:match.start()] + text[match.end():].lstrip(" ")
    return text.strip(), found


def parameters_of(text):
    """(type, name) of each parameter of a declaration."""
    inside = re.search(r"\((.*)\)", text, re.S).group(1)
    found = []
    for one in (part.strip() for part in inside.split(",")):
        if one != "void":
            kind, name = re.match(r"(.*?)(\w+)$", one, re.S).groups()
            found.append((" ".join(kind.split()), name))
    return found


def chunks(text):
    """(comment, declaration) of the header, in order; a section's banner has no declaration."""
    pattern = re.compile(r"(/\*.*?\*/)\s*?\n|^((?:CLOUDS_API|typedef|enum)\b.*?;)[^\n]*$", re.S | re.M)
    comment, end = "", 0
    for match in pattern.finditer(text):
        if match.group(1):
            comment, end = match.group(1), match.end()
            if comment.startswith("/* ----"):
                yield comment, ""
                comment = ""
        else:
            declaration = whole(text, match.start())
            beside = text[end:match.start()].strip() == ""
            yield (comment if beside else ""), declaration
            comment = ""


def whole(text, start):
    """A declaration from its start to the semicolon that ends it, braces and comments included."""
    depth, at = 0, start
    while True:
        if text.startswith("/*", at):
            at = text.index("*/", at) + 2
            continue
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
        if text[at - 1] == ";" and depth == 0:
            return text[start:at]


def read(path=HEADER):
    """The functions and the types of the header, in order."""
    functions, types, section = [], [], ""
    text = contents(path)
    for comment, declaration in chunks(text):
        if not declaration:
            section = re.sub(r"[-\s*/]+$", "", comment[7:]).strip()
        elif declaration.startswith("CLOUDS_API"):
            plain = declaration[len("CLOUDS_API"):-1].strip().replace("\n" + " " * len("CLOUDS_API "), "\n")
            result, name = re.match(r"(.*?)(\w+)\(", plain, re.S).groups()
            one = Function(name, plain, result.strip(), parameters_of(plain), comment, section)
            one.text, one.fields = take_fields(unwrapped(comment))
            functions.append(one)
        else:
            name = re.search(r"(?:enum|struct) (\w+)|\(\*(\w+)\)", declaration)
            types.append(Type(name.group(1) or name.group(2), declaration, comment, section))
    return functions, types


def errors(path=HEADER):
    """(symbol, number, outcome, name, text) of each error."""
    return re.findall(r"X\((CLOUDS_\w+), (-\d+), (CLOUDS_\w+), \"(\w+)\", \"(.*?)\"\)", contents(path))


def events(types):
    """(symbol, meaning) of each event."""
    body = next(t.declaration for t in types if t.name == "clouds_event_type")
    return [(name, " ".join(text.split())) for name, text in
            re.findall(r"(CLOUDS_EVENT_\w+) = \d+,?\s*/\*(.*?)\*/", body, re.S)]


def linked(text, known):
    """The words with a link at each function, error and event that has a place of its own."""
    def link(match):
        word = match.group(0)
        return f"[`{word}`](#{word.lower()})" if word in known else word
    text = re.sub(r"(?<!`)\*(?=\w|[ ,);])", r"\\*", text.replace("|", "\\|"))
    return re.sub(r"(?<![`\w])(?:clouds|CLOUDS)_\w+(?!\w|\\)", link, text)


def page(function, known):
    """The section of one function."""
    lines = [f"### {function.name}", "", "```c", function.declaration + ";", "```", ""]
    block = False
    for line in function.text.split("\n"):
        if line.startswith("    ") != block:
            block = not block
            lines += ["```\n" if not block else "\n```text"]
        lines.append(line[4:] if block else linked(line, known - {function.name}))
    lines += ["", "| | |", "|---|---|"]
    lines += [f"| {name} | {linked(function.fields[name], known)} |" for name in FIELDS if name in function.fields]
    return lines + [""]


def type_page(one, known):
    lines = [f"### {one.name}", ""]
    if one.comment:
        lines += [linked(unwrapped(one.comment), known - {one.name}), ""]
    return lines + ["```c", one.declaration, "```", ""]


def tables(types, path):
    """The errors and the events, each row a place that can be linked to."""
    lines = ["## The errors", "", "| error | | outcome | name in every language | |", "|---|---|---|---|---|"]
    lines += [f'| <a id="{symbol.lower()}"></a>`{symbol}` | {number} | `{outcome}` | `{name}` | {text} |'
              for symbol, number, outcome, name, text in errors(path)]
    lines += ["", "## The events", "", "| event | |", "|---|---|"]
    return lines + [f'| <a id="{name.lower()}"></a>`{name}` | {text} |' for name, text in events(types)] + [""]


def conventions(path):
    """The words at the head of the header, as they are there."""
    head = re.search(r"/\* clouds\.h.*?\*/", contents(path), re.S).group(0)
    rows = re.findall(r"^ \*   (\w+)  +(.*(?:\n \* {11,}.*)*)", head, re.M)
    lines = ["## Conventions", "", "Valid for every function unless its own section differs.", "", "| | |", "|---|---|"]
    return lines + [f"| {name} | {linked(' '.join(re.sub(chr(10) + r' [*] +', ' ', text).split()), set())} |" for name, text in rows] + [""]


def document(path=HEADER):
    functions, types = read(path)
    known = {f.name for f in functions} | {t.name for t in types if not opaque(t)}
    known |= {row[0] for row in errors(path)} | {name for name, _ in events(types)}
    lines = ["# Reference", "",
             "Made from [`clouds.h`](../capi/include/clouds.h) by `tools/reference.py`; a test compares it. The tour is [C.md](C.md).", ""]
    lines += conventions(path)
    sections = list(dict.fromkeys(f.section for f in functions))
    for section in sections:
        names = ", ".join(f"[`{f.name}`](#{f.name})" for f in functions if f.section == section)
        lines.append(f"* **{section}**: {names}")
    lines += ["", *tables(types, path)]
    for section in sections:
        lines += [f"## {section}", ""]
        for one in types:
            if one.section == section and not opaque(one) and one.name not in ("clouds_error", "clouds_event_type"):
                lines += type_page(one, known)
        for one in functions:
            if one.section == section:
                lines += page(one, known)
    return "\n".join(lines).rstrip("\n") + "\n"


def opaque(one):
    return re.fullmatch(r"typedef struct \w+ \w+;", one.declaration) is not None


def main():
    arguments = argparse.ArgumentParser(description="Makes docs/REFERENCE.md from clouds.h.")
    arguments.add_argument("--check", action="store_true", help="only compare")
    arguments.add_argument("path", help="the file")
    chosen = arguments.parse_args()
    path, text = chosen.path, document()
    if not chosen.check:
        with open(path, "w") as out:
            out.write(text)
    elif contents(path) != text:
        sys.exit(f"{path} is not up to date: run tools/reference.py {path}")


if __name__ == "__main__":
    main()
