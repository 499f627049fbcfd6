"""What the tests of the packages share: an environment with nothing of the build in it, and programs tried in it."""
import glob
import os
import shlex
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from harness import CLOUDS, Process, SOURCE, wait_until  # noqa: E402

BUILD = os.environ["CLOUDS_BUILD_DIR"]
PACKAGES = os.path.join(BUILD, "packages-out")  # where the fixture has put them

SERVICE = """io.stdout:setvbuf("line")
local clouds = require "clouds"
local server = clouds.server()
assert(server:register("test.hello", function(name, msg) return "Hello " .. name .. ", " .. msg end))
print("ready")
if clouds.run then clouds.run() end
"""

CONSUMER = """cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
find_package(clouds {version} REQUIRED)
foreach(name service client)
  add_executable(${{name}} {examples}/${{name}}.c)
  target_link_libraries(${{name}} PRIVATE clouds::clouds)
endforeach()
"""


def environment(home, **more):
    """What a stranger has: no variable of ours but the place of local:, nothing of the build; that is below `home`."""
    os.makedirs(home + "/run", mode=0o700, exist_ok=True)
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": home, "CLOUDS_RUNTIME_DIR": home + "/run",
            **more}


def run(*command, env=None, cwd=None, status=0):
    """Runs a command to its end; what it wrote to standard output, without the last line feed."""
    done = subprocess.run(command, text=True, capture_output=True, env=env, cwd=cwd, timeout=300)
    if done.returncode != status:
        raise AssertionError(f"{shlex.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.rstrip("\n")


def mapped(pid):
    """The files of ours that a process has mapped."""
    with open(f"/proc/{pid}/maps") as maps:
        paths = {line.split(None, 5)[5].strip() for line in maps if "/" in line}
    names = ("libclouds", "clouds.node", "core.so", "_clouds")
    return {path for path in paths if os.path.basename(path).startswith(names)}


def project_version():
    """The version, from the one place where it is written."""
    with open(os.path.join(SOURCE, "CMakeLists.txt")) as lists:
        return next(line.split("VERSION", 1)[1].split()[0] for line in lists if line.startswith("project("))


def readme_blocks(language):
    """The blocks of code in that language in README.md."""
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as file:
        return [part.split("```", 1)[0] for part in file.read().split(f"```{language}\n")[1:]]


def readme(language):
    """The first of them, which a stranger copies."""
    return readme_blocks(language)[0]


def readme_lua():
    """The service and the client in Lua."""
    return readme_blocks("lua")[:2]


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def files_in(folder):
    """Every file below a folder, relative to it."""
    return sorted(os.path.relpath(os.path.join(root, name), folder)
                  for root, _, names in os.walk(folder) for name in names)


def package(pattern):
    """The one package of that kind."""
    found = glob.glob(os.path.join(PACKAGES, pattern))
    assert len(found) == 1, f"{pattern}: {found}"
    return found[0]


class Tried(unittest.TestCase):
    """What is tried in a folder of the class, `home`, with an environment for each test; programs end with their test."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="clouds-")
        cls.addClassCleanup(folder.cleanup)
        cls.home = folder.name

    def setUp(self):
        self.env = environment(tempfile.mkdtemp(prefix="home-", dir=self.home))

    def start(self, *arguments, env, cwd=None):
        process = Process(list(arguments), env, cwd=cwd)
        self.addCleanup(process.discard)
        return process

    def assert_links(self, folder):
        """The links of the pages there lead to what is there."""
        run(sys.executable, SOURCE + "/tests/lint/links.py", folder)

    def assert_page(self, text):
        """The same for a page that stands alone."""
        folder = tempfile.mkdtemp(prefix="page-", dir=self.home)
        write(folder + "/README.md", text)
        self.assert_links(folder)

    def assert_from(self, folder, process):
        """The library comes out of the folder, and from nowhere else."""
        paths = mapped(process.pid)
        self.assertTrue(paths, "a library of ours is mapped")
        for path in paths:
            self.assertTrue(path.startswith(os.path.realpath(folder) + "/"), f"{path} is not below {folder}")

    def lua_service(self, folder, *command, env):
        """A service in Lua, as `command` runs it; its library must come out of the folder."""
        script = write(os.path.join(env["HOME"], "service.lua"), SERVICE)
        service = self.start(*command, script, env=env)
        service.out.wait_for("ready")
        self.assert_from(folder, service)
        return service

    def c_pair(self, folder, binaries, env):
        """The service and the client in C, which have been built in `binaries`, find each other."""
        service = self.start(os.path.join(binaries, "service"), "local:pair", env=env)
        client = (os.path.join(binaries, "client"), "[1,2]", "local:pair")
        wait_until(lambda: subprocess.run(client, env=env, capture_output=True, text=True).stdout == "[1,2]\n",
                   "the client's answer")
        self.assert_from(folder, service)
        service.discard()

    def c_by_pkg_config(self, work, env):
        """Builds the examples in C with what pkg-config says."""
        os.makedirs(work)
        flags = shlex.split(run("pkg-config", "--cflags", "--libs", "clouds", env=env))
        for name in ("service", "client"):
            run("cc", "-Wall", "-Werror", f"{SOURCE}/examples/c/{name}.c", "-o", f"{work}/{name}", *flags, env=env)

    def c_by_cmake(self, work, prefix, env):
        """Builds the examples in C with find_package."""
        os.makedirs(work)
        version = ".".join(project_version().split(".")[:2])
        write(os.path.join(work, "CMakeLists.txt"), CONSUMER.format(version=version, examples=SOURCE + "/examples/c"))
        run("cmake", "-S", work, "-B", work + "/build", "-DCMAKE_PREFIX_PATH=" + prefix, env=env)
        run("cmake", "--build", work + "/build", env=env)
