"""The folder of local:: leftovers of a kill are swept; a folder that cannot be used is told in words."""
import os
import shutil
import signal
import stat
import subprocess
import time
import unittest

from support import BOUND, Case, CLOUDS, ECHO, RENEWING, wait_until


class Folder(Case):
    def setUp(self):
        super().setUp()
        self.runtime = self.env["CLOUDS_RUNTIME_DIR"]

    def entries(self):
        folder = os.path.join(self.runtime, "default")
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def test_leftovers_are_swept(self):
        services = [self.serve(ECHO) for _ in range(3)]
        per_node = len(self.entries()) // 3
        self.assertGreater(per_node, 1)
        for service in services:
            service.signal(signal.SIGKILL)
            service.wait()
        self.assertEqual(len(self.entries()), 3 * per_node)
        self.assertEqual(self.json(self.run_clouds("status", "--json")), {"servers": {}, "methods": {}})
        survivor = self.serve(ECHO)
        wait_until(lambda: len(self.entries()) == per_node, "the leftovers are gone")
        self.assertEqual(self.json(self.run_clouds("call", "test.echo", "1", "--json")), [1])
        self.assertEqual(survivor.stop(), 0)
        self.assertEqual(self.entries(), [])

    def test_rubbish_in_the_folder_harms_nobody(self):
        self.serve(ECHO)
        folder = os.path.join(self.runtime, "default")
        key = "0123456789abcdef"
        for name, text in (("x", ""), (key + ".lock", ""), ("f" * 16 + ".lock", "s.1.1.1"), (key + ".sock", "no socket"),
                           (f"{key}-{key}.m", "a file"), ("a" * 200, "long")):
            with open(os.path.join(folder, name), "w") as out:
                out.write(text)
        os.symlink("../../../../etc/passwd", os.path.join(folder, f"{'a' * 16}-{'b' * 16}.m"))
        os.symlink("s.1.1.1/test.echo", os.path.join(folder, f"{key}-{'c' * 16}.m"))
        os.symlink("x" * 4000, os.path.join(folder, f"{'d' * 16}-{'d' * 16}.m"))
        os.mkdir(os.path.join(folder, "e" * 16 + ".sock"))
        for _ in range(5):
            self.assertEqual(self.json(self.run_clouds("call", "test.echo", "1", "--json", "--retry", "5", "--timeout", "5")), [1])
        self.serve(ECHO)
        self.json(self.run_clouds("status", "--json"))

    def test_the_folder_vanishes_under_a_service(self):
        """It comes back, and so does the registration."""
        service = self.serve(RENEWING)
        folder = os.path.join(self.runtime, "default")
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
        wait_until(lambda: self.run_clouds("call", "test.echo", "1", "--timeout", "3").returncode == 0,
                   "the service is found again")
        self.assertEqual(service.stop(), 0)

    def refused(self, path, *words, prefix=()):
        """Both a command and a service say what is wrong with that place, name it, and exit with an error."""
        for arguments in (("call", "test.echo", "1", "--timeout", "1"),
                          ("run", "-e", "local s = require('clouds').server{} assert(s:register('m', print))")):
            result = subprocess.run([*prefix, CLOUDS, *arguments], env={**self.env, "CLOUDS_RUNTIME_DIR": path}, text=True,
                                    stdin=subprocess.DEVNULL, capture_output=True, timeout=BOUND)
            self.assertIn(result.returncode, (1, 2, 3), result.stderr)
            self.assertIn(path, result.stderr)
            self.assertTrue(any(word in result.stderr for word in words), result.stderr)

    def test_a_missing_folder_is_made(self):
        self.env["CLOUDS_RUNTIME_DIR"] = self.runtime = os.path.join(self.folder, "new")
        self.serve(ECHO)
        self.assertEqual(stat.S_IMODE(os.stat(self.runtime).st_mode), 0o700)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.runtime, "default")).st_mode), 0o700)

    def test_where_no_folder_can_be(self):
        file = self.file("file", "x")
        self.refused(file, "is not a folder")
        self.refused(os.path.join(file, "below"), "Not a directory")
        self.refused(os.path.join(self.folder, "missing", "below"), "No such file")

    def test_a_long_path_is_no_obstacle(self):
        """The path of a unix socket has 107 bytes; ours is reached through its folder."""
        self.env["CLOUDS_RUNTIME_DIR"] = os.path.join(self.folder, "a" * 200)
        self.serve(ECHO)
        self.assertEqual(self.json(self.run_clouds("call", "test.echo", "1", "--json")), [1])

    def test_a_folder_that_others_made_is_not_changed(self):
        path = self.env["CLOUDS_RUNTIME_DIR"] = os.path.join(self.folder, "open")
        os.mkdir(path)
        os.chmod(path, 0o1777)
        self.serve(ECHO)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o1777)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(path, "default")).st_mode), 0o700)

    def test_a_place_that_others_can_read_is_refused(self):
        path = os.path.join(self.folder, "etc")
        os.makedirs(os.path.join(path, "default"))
        os.chmod(os.path.join(path, "default"), 0o755)
        self.refused(path, "is open to other users")
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(path, "default")).st_mode), 0o755)

    @unittest.skipUnless(os.geteuid() == 0, "only root can give a folder to somebody else")
    def test_a_folder_of_somebody_else(self):
        path = os.path.join(self.folder, "foreign")
        os.mkdir(path, 0o700)
        os.chown(path, 12345, 12345)
        self.refused(path, "is not a folder of user")

    def mount(self, options):
        """A small file system of its own, where that is allowed."""
        path = os.path.join(self.folder, "small")
        os.mkdir(path)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", path], capture_output=True).returncode:
            self.skipTest("no right to mount")
        self.addCleanup(subprocess.run, ["umount", path])
        return path

    def test_a_full_folder(self):
        self.refused(self.mount("nr_inodes=3,mode=700"), "No space left on device")

    def test_a_full_disk(self):
        path = self.mount("size=4k,mode=700")
        with open(os.path.join(path, "x"), "wb") as out:
            out.write(bytes(4096))
        self.refused(path, "No space left on device")

    def test_a_folder_that_is_read_only(self):
        path = self.mount("mode=700")
        os.mkdir(os.path.join(path, "default"), 0o700)
        subprocess.run(["mount", "-o", "remount,ro", path], check=True)
        self.refused(path, "Read-only file system")

    def test_a_login_ends_and_comes_again(self):
        """The place is removed and made again by others: the service is there again, and callers find it."""
        path = self.env["CLOUDS_RUNTIME_DIR"] = self.runtime = os.path.join(self.folder, "login")
        os.mkdir(path, 0o700)
        service = self.serve(ECHO)
        shutil.rmtree(path)
        with open(path, "w"):
            pass  # and for a while nothing can be there
        time.sleep(0.1)
        os.unlink(path)
        os.mkdir(path, 0o700)
        wait_until(lambda: self.run_clouds("call", "test.echo", "1", "--timeout", "3").returncode == 0,
                   "the service is found again")
        self.assertEqual(service.stop(), 0)
        self.assertEqual(self.entries(), [])

    def test_one_place_whatever_the_environment(self):
        """A service of cron meets a login shell."""
        del self.env["CLOUDS_RUNTIME_DIR"]
        name = f"local:test-{os.getpid()}"
        login = {**self.env, "XDG_RUNTIME_DIR": self.folder, "CLOUDS_URL": name}
        self.env.pop("XDG_RUNTIME_DIR", None)
        self.env["CLOUDS_URL"] = name
        service = self.serve(ECHO)
        self.addCleanup(shutil.rmtree, f"/tmp/clouds-{os.geteuid()}/{name[6:]}", True)
        result = subprocess.run([CLOUDS, "call", "test.echo", "1"], env=login, text=True, capture_output=True, timeout=BOUND)
        self.assertEqual((result.returncode, result.stdout), (0, "1\n"), result.stderr)
        self.assertEqual(service.stop(), 0)

    def test_two_names_are_two_clusters(self):
        for name in ("a", "b"):
            self.env["CLOUDS_URL"] = f"local:{name}"
            self.serve(f"local s = require('clouds').server{{}} assert(s:register('only.{name}', function() return '{name}' end)) print('ready')")
        for name, other in (("a", "b"), ("b", "a")):
            self.env["CLOUDS_URL"] = f"local:{name}"
            self.assertEqual(self.json(self.run_clouds("call", f"only.{name}", "--json")), [name])
            self.assertEqual(self.run_clouds("call", f"only.{other}", "--timeout", "1").returncode, 3)
            self.assertEqual(list(self.json(self.run_clouds("status", "--json"))["methods"]), [f"only.{name}"])

    def test_the_same_id_twice(self):
        """Refused, with the process that has it; the first goes on."""
        fixed = ECHO.replace("{}", "{ id = 's.fixed' }").replace("server:register(", "assert(server:register(").replace("end)", "end))")
        first = self.serve(fixed)
        result = self.run_clouds("run", "-e", fixed)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(f"s.fixed is in use by process {first.pid}", result.stderr)
        self.assertEqual(self.json(self.run_clouds("call", "test.echo", "1", "--json")), [1])

    def test_a_folder_that_cannot_be_made(self):
        closed = os.path.join(self.folder, "closed")
        os.mkdir(closed, 0o500)
        # Root may write everywhere, unless it gives up that right.
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        self.refused(os.path.join(closed, "run"), "Permission denied", prefix=prefix)


if __name__ == "__main__":
    unittest.main()
