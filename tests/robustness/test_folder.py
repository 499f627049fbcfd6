"""The folder of local:: leftovers of a kill are swept; a folder that cannot be used is told in words."""
import os
import signal
import stat
import subprocess
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

    def test_a_folder_that_cannot_be_made(self):
        closed = os.path.join(self.folder, "closed")
        os.mkdir(closed, 0o500)
        # Root may write everywhere, unless it gives up that right.
        prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        self.refused(os.path.join(closed, "run"), "Permission denied", prefix=prefix)


if __name__ == "__main__":
    unittest.main()
