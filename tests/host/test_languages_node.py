"""clouds start with workers in Node, from outside: what they serve survives reloads, failures and the end."""
import unittest

from language_life import Failing, Workers
from language_support import HAS_NODE, WITHOUT_NODE, Languages

# Each serves `where`; `wait`, which prints and answers when a file is there; and `loop`, which never comes back.
JAVASCRIPT = """
const fs = require('fs');
const clouds = require(process.env.CLOUDS_TEST_PACKAGE);
const { worker } = clouds;
const server = clouds.createServer();
server.registerP('where', () => `${worker.group}.${worker.index} of ${worker.count}, ${worker.generation}`);
server.registerP('wait', async (path) => {
  console.log('waits');
  while (!fs.existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 10));
  return 'waited';
});
server.registerP('loop', () => {
  for (;;);
});
worker.on('drain', async (reason, seconds) => console.log(`drain ${reason} ${seconds.toFixed(1)}`));
worker.on('stop', () => console.log('stop'));
"""


@unittest.skipUnless(HAS_NODE, WITHOUT_NODE)
class Node(Failing, Workers, Languages):
    script, code, says_where = "svc.js", JAVASCRIPT, None

    def test_ready_by_its_own_word(self):
        self.open("svc.js", """
            const { worker, createServer } = require(process.env.CLOUDS_TEST_PACKAGE);
            worker.hold();
            createServer().registerP('where', () => 1).then(() => {
              console.log('registered');
              setInterval(() => require('fs').existsSync('go') && worker.ready(), 10);
            });
        """)
        self.master.out.wait_for("registered")
        self.assertNotIn(" ready in ", self.master.err.text())
        self.file("go", "")
        self.master.err.wait_for("svc ready: ")
        self.end()

    def test_what_fails(self):
        package = "require(process.env.CLOUDS_TEST_PACKAGE)"
        for code, words in (("throw new Error('boom')", "exit 1: Error: boom"),
                            (package, "exit 1: the worker has ended before it was ready: it registers nothing"),
                            (f"const {{ createServer }} = {package};\n"
                             "createServer({ id: 'a' }).registerP('x', () => 1)\n"
                             ".then(() => createServer({ id: 'a' }).register('x', () => 1));",
                             "exit 1: the worker cannot serve: CLOUDS_EXISTS: ")):
            with self.subTest(code=code):
                self.assertEqual(self.open("svc.js", code).wait(), 1)
                self.assertIn(f"svc does not start: worker svc.1: {words}", self.master.err.text())

if __name__ == "__main__":
    unittest.main()
