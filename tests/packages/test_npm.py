"""The package for npm: what it holds, and that it works from wherever npm has put it, far from the build."""
import json
import os
import tarfile
import unittest

from support import BUILD, Tried, package, project_version, readme, run, write

SERVICE = """const { Server } = require('clouds');
const server = new Server({ url: 'local:' });
server.register('test.hello', (name, msg, cb) => cb(null, `Hello ${name}, ${msg}`));
server.on('listen', () => console.log('ready'));
process.on('SIGTERM', () => server.exit(() => console.log('stopped')));
"""

CLIENT = """const fs = require('fs');
const { Client } = require('clouds');
const client = new Client({ url: 'local:' });
client.bind('test.hello')('Glen', 'hi', (err, text) => {
  console.log(err || text);
  client.call('test.hello', ['Glen', 'there']).then((again) => {
    console.log(again);
    console.log(require.resolve('clouds'));
    const lines = fs.readFileSync('/proc/self/maps', 'utf8').split('\\n');
    const maps = lines.filter((line) => /clouds\\.node|libclouds/.test(line));
    console.log([...new Set(maps.map((line) => line.replace(/^(\\S+ +){5}/, '')))].join('\\n'));
    client.exit(() => {});
  });
});
"""


class Npm(Tried):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tarball = package("*.tgz")

    def setUp(self):
        super().setUp()
        self.env.update(npm_config_cache=self.env["HOME"] + "/cache", npm_config_update_notifier="false")

    def test_holds(self):
        self.assertEqual(os.path.basename(self.tarball), f"clouds-{project_version()}.tgz")
        with tarfile.open(self.tarball) as tar:
            words = {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}
        for name in ("package.json", "index.d.ts", "README.md", "LICENSE",
                     "clouds.node", "libclouds.so.0", "libuv.so.1"):
            self.assertIn("package/" + name, words)
        about = json.loads(words["package/package.json"])
        self.assertFalse(about.get("dependencies"), "no dependency at run time")
        self.assertFalse(about.get("scripts", {}).get("install"), "nothing is compiled where it is installed")
        self.assertIn("cpu", about)
        for name in about["files"]:
            self.assertTrue(any(path.startswith("package/" + name) for path in words), name)
        self.assertIn(b"Salvatore Sanfilippo", b"".join(words[name] for name in words if "LICENSE.libhiredis" in name))
        self.assertIn(b"Joyent", b"".join(words[name] for name in words if "LICENSE.libuv" in name))
        for name, text in words.items():
            self.assertNotIn(BUILD.encode(), text, name)
        self.assert_page(words["package/README.md"].decode())

    def test_installed_elsewhere(self):
        project = self.home + "/my project"
        os.mkdir(project)
        write(project + "/package.json", json.dumps({"name": "stranger", "version": "1.0.0", "private": True}))
        run("npm", "install", "--offline", "--no-audit", "--no-fund", self.tarball, cwd=project, env=self.env)
        for name, text in (("service", SERVICE), ("client", CLIENT)):
            write(f"{project}/{name}.js", text)
        service = self.start("node", "service.js", env=self.env, cwd=project)
        service.out.wait_for("ready")
        said = run("node", "client.js", cwd=project, env=self.env).split("\n")
        self.assertEqual(said[:2], ["Hello Glen, hi", "Hello Glen, there"])
        self.assertEqual(len(said), 5, said)  # the module, the addon and the library
        for path in said[2:]:
            self.assertTrue(path.startswith(os.path.realpath(project) + "/node_modules/clouds/"), path)
        write(project + "/readme.js", readme("js"))
        self.assertEqual(run("node", "readme.js", cwd=project, env=self.env), "Hello Glen, hi")
        service.signal(15)
        service.out.wait_for("stopped")
        self.assertEqual(service.wait(), 0, service.err.text())


if __name__ == "__main__":
    unittest.main()
