#!/usr/bin/env python3
"""The links of the documentation lead somewhere: to a file that is there, and to a heading or an anchor in it.
Usage: links.py [FOLDER]: of all pages below FOLDER (a package unpacked, say), and nowhere out of it; else of the sources."""
import glob
import os
import re
import sys

packed = len(sys.argv) > 1
source = os.path.abspath(sys.argv[1] if packed else os.environ["CLOUDS_SOURCE"])
pages = sorted(glob.glob(source + "/**/*.md", recursive=True) if packed else
               glob.glob(source + "/*.md") + glob.glob(source + "/docs/*.md"))


def places(path):
    """The anchors of a page: its headings as GitHub names them, and those that are written out."""
    with open(path) as file:
        text = file.read()
    plain = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    found = set(re.findall(r'<a id="([^"]+)">', plain))
    for heading in re.findall(r"^#+ (.*)$", plain, re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-"))
    return found


known = {path: places(path) for path in pages}
count = bad = 0
for page in pages:
    with open(page) as file:
        text = re.sub(r"^```.*?^```", "", file.read(), flags=re.S | re.M)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        count += 1
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        if not os.path.exists(path):
            why = "is not there"
        elif not path.startswith(source + os.sep):
            why = "leads out of the folder"
        elif anchor and path in known and anchor not in known[path]:
            why = "has no such heading"
        else:
            continue
        bad += 1
        print(f"{os.path.relpath(page, source)}: {target} {why}")
print(f"{len(pages)} pages, {count} links, {bad} bad")
sys.exit(1 if bad or not pages or not packed and count < 100 else 0)
