"""`cmake --install`: what it brings is enough to build and run with, from a prefix and from DESTDIR; uninstall."""
import glob
import gzip
import os
import re
import shutil
import unittest

from support import BUILD, SOURCE, Tried, files_in, project_version, run, write

OBJECTS = "/capi/CMakeFiles/cl_objects.dir"


class Install(Tried):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.keep_manifest()
        cls.prefix = cls.home + "/my programs"  # a space is allowed everywhere
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        cls.libdir = os.path.dirname(glob.glob(cls.prefix + "/lib*/**/libclouds.so", recursive=True)[0])

    @classmethod
    def keep_manifest(cls):
        """What somebody has installed from this build by hand can still be taken back afterwards."""
        path = BUILD + "/install_manifest.txt"
        if os.path.exists(path):
            with open(path) as manifest:
                cls.addClassCleanup(write, path, manifest.read())
        else:
            cls.addClassCleanup(os.unlink, path)

    def test_pkg_config(self):
        # PKG_CONFIG_LIBDIR hides the system's files: a shared library needs no other package's development files.
        env = dict(self.env, PKG_CONFIG_LIBDIR=self.libdir + "/pkgconfig", LD_LIBRARY_PATH=self.libdir)
        self.assertEqual(run("pkg-config", "--modversion", "clouds", env=env), project_version())
        self.c_by_pkg_config(self.home + "/by-pkg-config", env)
        self.c_pair(self.prefix, self.home + "/by-pkg-config", env)

    def test_find_package(self):
        self.c_by_cmake(self.home + "/by-cmake", self.prefix, self.env)
        self.c_pair(self.prefix, self.home + "/by-cmake/build", self.env)

    def test_host_needs_no_variable(self):
        program = self.prefix + "/bin/clouds"
        self.assertIn(project_version(), run(program, "--version", env=self.env))
        self.lua_service(self.prefix, program, "run", env=self.env)
        self.assertEqual(run(program, "call", "test.hello", '"Glen"', '"hi"', env=self.env), '"Hello Glen, hi"')

    def test_plain_luajit(self):
        share, lib = self.prefix + "/share/lua/5.1", self.libdir + "/lua/5.1"
        env = dict(self.env, LUA_PATH=f"{share}/?.lua;{share}/?/init.lua", LUA_CPATH=lib + "/?.so")
        self.lua_service(self.prefix, "luajit", env=env)
        call = 'print(require("clouds").client():call("test.hello", {"Glen", "hi"}))'
        self.assertEqual(run("luajit", "-e", call, env=env), "Hello Glen, hi")

    def test_python(self):
        packages = glob.glob(self.prefix + "/lib/python3*/dist-packages")
        self.assertEqual(len(packages), 1)
        env = dict(self.env, PYTHONPATH=packages[0], LD_LIBRARY_PATH=self.libdir)
        said = run("/usr/bin/python3", "-c", "import clouds; print(clouds.version, clouds.__file__)", env=env)
        self.assertEqual(said, f"{project_version()} {packages[0]}/clouds/__init__.py")

    @unittest.skipUnless(shutil.which("luacheck"), "no luacheck")
    def test_luacheck_knows_scripts(self):
        standard = self.prefix + "/share/clouds/lua/meta/luacheck.lua"
        write(self.env["HOME"] + "/.luacheckrc", f'stds.clouds = dofile("{standard}")\nstd = "luajit+clouds"\n')
        script = write(self.env["HOME"] + "/script.lua", 'arg = { "x" }\nprint(require("clouds").version, arg[1])\n')
        run("luacheck", "-q", script, env=self.env, cwd=self.env["HOME"])
        self.assertTrue(os.path.exists(self.prefix + "/share/clouds/lua/meta/clouds.lua"))

    def test_manual_and_completion(self):
        share = self.prefix + "/share/"
        for name in ("clouds", "clouds-call", "clouds-start"):
            with gzip.open(f"{share}man/man1/{name}.1.gz", "rt") as page:
                self.assertTrue(page.read().startswith(".TH " + name.upper().replace("-", "\\-")))
        for name in ("bash-completion/completions/clouds", "zsh/vendor-completions/_clouds", "fish/vendor_completions.d/clouds.fish"):
            self.assertTrue(os.path.exists(share + name), name)

    def test_documents(self):
        doc = self.prefix + "/share/doc/clouds/"
        for name in ("README.md", "LICENSE", "CHANGELOG.md", "docs/LUA.md", "docs/C.md", "docs/INSTALL.md",
                     "examples/lua/hello_server.lua", "examples/c/service.c"):
            self.assertTrue(os.path.exists(doc + name), name)
        self.assert_links(doc)

    def test_destdir(self):
        root = self.home + "/destdir"
        run("cmake", "--install", BUILD, env=dict(os.environ, DESTDIR=root))
        with open(BUILD + "/CMakeCache.txt") as cache:
            prefix = next(line.split("=", 1)[1].strip() for line in cache if line.startswith("CMAKE_INSTALL_PREFIX:"))
        self.assertEqual(files_in(root + prefix), files_in(self.prefix))
        libdir = root + prefix + self.libdir[len(self.prefix):]
        # The files speak of the place they will have; whoever uses them before says where they are now.
        with open(libdir + "/pkgconfig/clouds.pc") as pc:
            self.assertIn(f"prefix={prefix}\n", pc.read())
        env = dict(self.env, PKG_CONFIG_LIBDIR=libdir + "/pkgconfig", PKG_CONFIG_SYSROOT_DIR=root,
                   LD_LIBRARY_PATH=libdir)
        self.c_by_pkg_config(self.home + "/destdir-pkg-config", env)
        self.c_pair(root, self.home + "/destdir-pkg-config", env)
        self.c_by_cmake(self.home + "/destdir-cmake", root + prefix, self.env)
        self.c_pair(root, self.home + "/destdir-cmake/build", self.env)

    def test_beside_other_sources(self):
        """In another project by add_subdirectory: the same target, none of the tests. Of the library one file is compiled;
        all others would give the objects that the build has, so these are linked."""
        work = self.home + "/beside"
        build = work + "/build"
        os.mkdir(work)
        write(work + "/CMakeLists.txt", f"""cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
add_subdirectory({SOURCE} clouds)
add_executable(client {SOURCE}/examples/c/client.c)
target_link_libraries(client PRIVATE clouds::clouds)
""")
        run("cmake", "-S", work, "-B", build, "-G", "Ninja", env=self.env)
        commands = run("ninja", "-C", build, "-t", "commands", "client", env=self.env).split("\n")
        objects = [re.search(r" -o (\S+) -c ", command) for command in commands]
        shutil.copytree(BUILD + OBJECTS, build + "/clouds" + OBJECTS, dirs_exist_ok=True)
        for part in ("/client.c.o", "/version.c.o"):
            run("ninja", "-C", build, *(o.group(1) for o in objects if o and o.group(1).endswith(part)), env=self.env)
        for command, is_object in zip(commands, objects):
            if not is_object:
                run("sh", "-c", command, cwd=build, env=self.env)
        run(build + "/client", "[]", "nonsense:", env=self.env, status=1)
        self.assertFalse(os.path.exists(build + "/clouds/tests"))

    def test_no_path_of_the_build(self):
        """Nothing that is read as text says where it was built."""
        for name in files_in(self.prefix):
            if name.endswith((".pc", ".cmake", ".h", ".lua", ".py", ".md")):
                with open(os.path.join(self.prefix, name)) as file:
                    self.assertNotIn(BUILD, file.read(), name)

    def test_uninstall(self):
        prefix = self.home + "/for a while"
        run("cmake", "--install", BUILD, "--prefix", prefix)
        self.assertTrue(files_in(prefix))
        with open(prefix + "/bin/mine", "w"):
            pass  # what others have put there stays
        run("cmake", "--build", BUILD, "--target", "uninstall")
        self.assertEqual(files_in(prefix), ["bin/mine"])
        left = [root for root, _, _ in os.walk(prefix) if os.path.basename(root) == "clouds"]
        self.assertEqual(left, [], "empty folders of ours")


if __name__ == "__main__":
    unittest.main()
