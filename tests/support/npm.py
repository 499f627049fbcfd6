"""What tests need from npm: installed once into a folder of the build, in the versions of a lock file."""
import hashlib
import os
import shutil
import subprocess
import sys

FILES = ("package.json", "package-lock.json")


def _fingerprint(source):
    digest = hashlib.sha256()
    for name in FILES:
        with open(os.path.join(source, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def _is_installed(stamp, wanted):
    try:
        with open(stamp) as file:
            return file.read() == wanted
    except OSError:
        return False


def install(source, folder):
    """Installs what the package.json and lock file in `source` name. What is there from the same files is used as it is."""
    stamp, wanted = os.path.join(folder, "installed"), _fingerprint(source)
    if _is_installed(stamp, wanted):
        return
    npm = shutil.which("npm")
    if not npm:
        sys.exit("npm is not there: these tests need Node.js and npm")
    os.makedirs(folder, exist_ok=True)
    for name in FILES:
        shutil.copy(os.path.join(source, name), folder)
    result = subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
                            cwd=folder, stdin=subprocess.DEVNULL)
    if result.returncode != 0:
        sys.exit("npm could not install what the tests need: they need the npm registry once")
    with open(stamp, "w") as file:
        file.write(wanted)
