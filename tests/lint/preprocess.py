"""A clouds.h after the preprocessor, without what the system's headers bring."""
import os
import re
import subprocess


def header(path=None):
    path = path or os.environ["CLOUDS_SOURCE"] + "/capi/include/clouds.h"
    text = subprocess.run(["cc", "-E", path], check=True, capture_output=True, text=True).stdout
    kept, ours = [], False
    for line in text.split("\n"):
        marker = re.match(r'# \d+ "([^"]*)"', line)
        if marker:
            ours = marker.group(1).endswith(("/clouds.h", "/clouds_extend.h"))
        elif ours:
            kept.append(line)
    return "\n".join(kept)


if __name__ == "__main__":
    print(header())
