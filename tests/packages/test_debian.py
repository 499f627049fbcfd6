"""The Debian packages: what their control files say; what they hold, unpacked into an empty folder and run there."""
import glob
import gzip
import hashlib
import os
import shutil
import subprocess
import unittest

from support import BUILD, PACKAGES, Tried, files_in, project_version, readme, readme_lua, run, write

NAMES = {"libclouds0", "libclouds-dev", "clouds", "lua-clouds", "python3-clouds", "clouds-doc"}
MACHINE = run("dpkg-architecture", "-qDEB_HOST_MULTIARCH")
LIBDIR = "usr/lib/" + MACHINE

CALL = 'print(require("clouds").client():call("test.hello", {"Glen", "hi"}))'

PYTHON_CLIENT = """import sys, clouds
with clouds.Client(timeout=2) as c:
    hello = c.bind("test.hello", retry=5)
    print(hello("Glen", "hi"))
    print(clouds.__file__)
    print(*{line.split()[-1] for line in open("/proc/self/maps") if "libclouds" in line})
"""


class Debian(Tried):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root = cls.home + "/root"
        os.mkdir(cls.home + "/alone")
        cls.debs, cls.control, cls.files = {}, {}, {}
        for deb in glob.glob(PACKAGES + "/*.deb"):
            name = os.path.basename(deb).split("_")[0]
            alone = f"{cls.home}/alone/{name}"
            run("dpkg-deb", "-x", deb, alone)
            run("dpkg-deb", "-x", deb, cls.root)
            run("dpkg-deb", "-e", deb, alone + ".control")
            fields = run("dpkg-deb", "-f", deb)
            cls.debs[name], cls.files[name] = deb, files_in(alone)
            cls.control[name] = dict(line.split(": ", 1) for line in fields.split("\n")
                                     if ": " in line and line[0] != " ")

    def setUp(self):
        super().setUp()
        self.env["LD_LIBRARY_PATH"] = f"{self.root}/{LIBDIR}"

    # ---- what they say

    def test_there_are_all(self):
        self.assertEqual(set(self.debs), NAMES)

    def test_control(self):
        version = project_version()
        for name, fields in self.control.items():
            self.assertEqual(fields["Version"], version, name)
            self.assertEqual(fields["Priority"], "optional", name)
            for field in ("Maintainer", "Section", "Installed-Size", "Description"):
                self.assertTrue(fields.get(field), f"{name} has no {field}")
            whole = name in ("clouds-doc", "python3-clouds")
            self.assertEqual(fields["Architecture"], "all" if whole else run("dpkg", "--print-architecture"), name)

    def test_dependencies(self):
        exact = f"libclouds0 (= {project_version()})"
        expected = {"libclouds0": ["libc6 (>= ", "libhiredis", "libuv1 (>= "], "libclouds-dev": [exact],
                    "clouds": [exact, "libluajit-5.1-2", "libuv1", "libwslay1", "libc6"], "lua-clouds": [exact, "luajit", "libc6"],
                    "python3-clouds": [exact, "python3 (>= 3.9)"], "clouds-doc": []}
        for name, words in expected.items():
            depends = self.control[name].get("Depends", "")
            for word in words:
                self.assertIn(word, depends, name)
            # dpkg-shlibdeps names the library once more where it is installed: packages are counted, not words.
            packages = {one.split()[0] for one in depends.split(", ") if one}
            self.assertEqual(len(packages), len(words), f"{name}: {depends}")

    def test_linker_is_told(self):
        control = f"{self.home}/alone/libclouds0.control/"
        with open(control + "shlibs") as shlibs:
            self.assertEqual(shlibs.read().strip(), f"libclouds 0 libclouds0 (>= {project_version()})")
        with open(control + "triggers") as triggers:
            self.assertIn("ldconfig", triggers.read())
        self.assertEqual(set(os.listdir(control)), {"control", "md5sums", "shlibs", "triggers"})

    def test_no_file_in_two_packages(self):
        owner = {}
        for name, files in self.files.items():
            for file in files:
                self.assertTrue(file.startswith("usr/"), f"{name}: {file}")
                self.assertFalse(file in owner, f"{file} is in {name} and in {owner.get(file)}")
                owner[file] = name

    def test_papers_and_sums(self):
        for name in self.files:
            folder = f"{self.home}/alone/{name}"
            with open(f"{folder}/usr/share/doc/{name}/copyright") as text:
                self.assertIn("License: Expat", text.read())
            with gzip.open(f"{folder}/usr/share/doc/{name}/changelog.gz", "rt") as text:
                self.assertTrue(text.read().startswith(f"clouds ({project_version()})"))
            with open(folder + ".control/md5sums") as sums:
                listed = dict(reversed(line.rstrip("\n").split("  ", 1)) for line in sums)
            for file in self.files[name]:
                path = os.path.join(folder, file)
                if not os.path.islink(path):
                    with open(path, "rb") as content:
                        self.assertEqual(hashlib.md5(content.read()).hexdigest(), listed[file], file)

    def test_links(self):
        self.assert_links(self.root + "/usr/share/doc/clouds")

    def test_programs_are_clean(self):
        """Stripped, without a search path of their own, without a path of the build."""
        seen = 0
        for file in files_in(self.root):
            path = os.path.join(self.root, file)
            with open(path, "rb") as content:
                data = content.read()
            self.assertNotIn(BUILD.encode(), data, file)
            if data.startswith(b"\x7fELF") and not os.path.islink(path):
                seen += 1
                self.assertNotIn("PATH", run("readelf", "-d", path), file)
                self.assertNotIn(".debug_info", run("readelf", "-SW", path), file)
        self.assertEqual(seen, 3, "library, program, module")

    @unittest.skipUnless(shutil.which("lintian"), "no lintian")
    def test_lintian(self):
        done = subprocess.run(["lintian", *self.debs.values()], text=True, capture_output=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    # ---- what they hold

    def lua_env(self):
        share, lib = f"{self.root}/usr/share/lua/5.1", f"{self.root}/{LIBDIR}/lua/5.1"
        return dict(self.env, LUA_PATH=f"{share}/?.lua;{share}/?/init.lua", LUA_CPATH=lib + "/?.so")

    def host(self, *arguments):
        return run(self.root + "/usr/bin/clouds", *arguments, env=self.env)

    def test_where_luajit_looks(self):
        """Installed for real, no variable is needed: the files lie where Debian's luajit looks."""
        paths = run("luajit", "-e", "print(package.path .. ';' .. package.cpath)", env=self.env).split(";")
        for pattern, file in (("/usr/share/lua/5.1/?/init.lua", "clouds"), ("/usr/share/lua/5.1/?.lua", "clouds/node"),
                              (f"/{LIBDIR}/lua/5.1/?.so", "clouds/core")):
            self.assertIn(pattern, paths)
            self.assertIn(pattern.replace("?", file)[1:], self.files["lua-clouds"])

    def test_where_python_looks(self):
        paths = run("/usr/bin/python3", "-c", "import sys; print(*sys.path, sep='\\n')", env=self.env).split("\n")
        self.assertIn("/usr/lib/python3/dist-packages", paths)
        self.assertIn("usr/lib/python3/dist-packages/clouds/__init__.py", self.files["python3-clouds"])
        self.assertIn("usr/lib/python3/dist-packages/clouds/py.typed", self.files["python3-clouds"])

    def test_a_service_called_from_every_language(self):
        self.lua_service(self.root, self.root + "/usr/bin/clouds", "run", env=self.env)
        self.assertEqual(self.host("call", "test.hello", '"Glen"', '"hi"'), '"Hello Glen, hi"')

        lua = run("luajit", "-e", CALL, env=self.lua_env())
        self.assertEqual(lua, "Hello Glen, hi")

        script = write(self.env["HOME"] + "/client.py", PYTHON_CLIENT)
        packages = self.root + "/usr/lib/python3/dist-packages"
        said = run("/usr/bin/python3", script, env=dict(self.env, PYTHONPATH=packages), cwd=self.home).split("\n")
        self.assertEqual(said[0], "Hello Glen, hi")
        self.assertEqual(said[1], packages + "/clouds/__init__.py")
        self.assertEqual(said[2], os.path.realpath(f"{self.root}/{LIBDIR}/libclouds.so.0"))

    def test_what_the_readme_says(self):
        """A stranger copies the service and the clients out of README.md."""
        texts = readme_lua()
        service, client = (write(f"{self.env['HOME']}/{name}.lua", text)
                           for name, text in zip(("service", "client"), texts))
        self.start(self.root + "/usr/bin/clouds", "run", service, env=self.env)
        # The service is only starting: the next attempt comes when it is up.
        said = self.host("call", "--retry", "20", "--timeout", "2", "test.hello", '"Glen"', '"hi"')
        self.assertEqual(said, '"Hello Glen, hi"')
        self.assertEqual(self.host("run", client), "Hello Glen, hi")
        script = write(self.env["HOME"] + "/client.py", readme("python"))
        env = dict(self.env, PYTHONPATH=self.root + "/usr/lib/python3/dist-packages")
        self.assertEqual(run("/usr/bin/python3", script, env=env), "Hello Glen, hi")

    def test_a_service_in_plain_luajit(self):
        self.lua_service(self.root, "luajit", env=self.lua_env())
        self.assertEqual(self.host("call", "test.hello", '"Glen"', '"hi"'), '"Hello Glen, hi"')

    def test_python_knows_the_version(self):
        env = dict(self.env, PYTHONPATH=self.root + "/usr/lib/python3/dist-packages")
        said = run("/usr/bin/python3", "-c", "import importlib.metadata as m; print(m.version('clouds'))", env=env)
        self.assertEqual(said, project_version())

    def test_c(self):
        env = dict(self.env, PKG_CONFIG_LIBDIR=f"{self.root}/{LIBDIR}/pkgconfig", PKG_CONFIG_SYSROOT_DIR=self.root)
        self.c_by_pkg_config(self.home + "/by-pkg-config", env)
        self.c_pair(self.root, self.home + "/by-pkg-config", env)
        self.c_by_cmake(self.home + "/by-cmake", self.root + "/usr", self.env)
        self.c_pair(self.root, self.home + "/by-cmake/build", self.env)


if __name__ == "__main__":
    unittest.main()
