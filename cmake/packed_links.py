#!/usr/bin/env python3
"""Usage: packed_links.py FOLDER. In the pages (*.md) below FOLDER each link to a file that is not below FOLDER becomes plain
text: what is packed or installed is a part of the sources, and its pages must not lead elsewhere."""
import os
import re
import sys


def is_dead(folder, page, target):
    if target.startswith("#") or re.match(r"[a-z]+:", target):
        return False
    path = os.path.normpath(os.path.join(os.path.dirname(page), target.partition("#")[0]))
    return not path.startswith(folder + os.sep) or not os.path.exists(path)


def without_dead_links(folder, page, text):
    def kept(link):
        return link.group(1) if is_dead(folder, page, link.group(2)) else link.group(0)
    parts = re.split(r"(^```.*?^```)", text, flags=re.S | re.M)  # every second one is a block of code
    parts[::2] = [re.sub(r"\[([^\]]*)\]\(([^)\s]+)\)", kept, part) for part in parts[::2]]
    return "".join(parts)


def main():
    folder = os.path.abspath(sys.argv[1])
    for root, _, names in os.walk(folder):
        for name in names:
            page = os.path.join(root, name)
            if name.endswith(".md"):
                with open(page, "r+", encoding="utf-8") as file:
                    text = without_dead_links(folder, page, file.read())
                    file.seek(0)
                    file.truncate()
                    file.write(text)


if __name__ == "__main__":
    main()
