"""Puts npm clouds@0.1.14 and what it needs into a folder of the build. Usage: install.py FOLDER."""
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))
import npm  # noqa: E402


def main():
    folder = os.path.abspath(sys.argv[1])
    npm.install(HERE, folder)
    with open(os.path.join(folder, "node_modules", "clouds", "package.json")) as package:
        version = json.load(package)["version"]
    if version != "0.1.14":
        sys.exit(f"npm installed clouds {version} instead of 0.1.14")
    print("clouds@0.1.14 is in", folder)


if __name__ == "__main__":
    main()
