"""C14: what our nodes do among themselves beside nodes of the original goes past those: they hear nothing that they do not know, and
serve and call on."""
import unittest

from support import Case, wait_until

# All that npm clouds 0.1 has not: channels, patterns, groups, limits, pauses, cancels, notify, meta.
BUSY = """
local clouds = require "clouds"
local server, client = clouds.server(), clouds.client({ timeout = 5 })
local heard, served = 0, 0
local function hear() heard = heard + 1 end
for _, topics in ipairs({ "chat.room", "chat.*", "chat.>", { "chat.room", "news" } }) do assert(client:subscribe(topics, hear)) end
assert(client:subscribe({ "chat.room", "news" }, hear, { all = true }))
assert(server:subscribe("job", hear, { group = "workers" }))
assert(client:subscribe("job", hear, { group = "workers" }))
assert(server:register("ours.limited", function(i) served = served + 1 return i end, { serial = true, rate = 1000 }))
assert(server:register("ours.slow", function() clouds.sleep(10) end))
local watch = assert(client:watch("news"))
for i = 1, 100 do
  assert(client:publish("chat.room", i, { meta = { i = i } }))
  assert(server:publish("news", i))
  assert(server:publish("job", i))
  assert(client:call("ours.limited", { i }, { meta = { i = i } }))
  assert(client:notify("ours.limited", { i }))
end
for i = 1, 20 do client:call("ours.slow", {}, { timeout = 0.02 }) end
for i = 1, 2 do
  assert(server:pause("ours.limited"))
  local _, err = client:call("ours.limited", { i })
  assert(err.code == "CLOUDS_NO_AVAILABLE_SERVER" or err.code == "CLOUDS_OVERLOADED", tostring(err))
  assert(server:resume("ours.limited"))
end
while heard < 500 or served < 200 do clouds.sleep(0.01) end
watch:close()
print("done", heard, served)
client:close()
server:close(0)
"""


class Beside(Case):
    def test_C14_the_original_notices_nothing(self):
        npm = self.agent("npm")
        npm.server("theirs=echo")
        for kind in "client", "monitor", "base":
            npm.node(kind)
        for direct in "true", "false":
            ours = self.start("run", "-e", BUSY.replace("{ timeout = 5 }", "{ timeout = 5, direct = %s }" % direct)
                              .replace("clouds.server()", "clouds.server({ direct = %s })" % direct))
            while ours.popen.poll() is None:
                self.assertEqual(npm.call("theirs", 1)["values"], [1])
            self.assertEqual(ours.wait(), 0, ours.err.text())
            _, heard, served = ours.out.text().split()
            self.assertGreaterEqual(int(heard), 500)
            self.assertGreaterEqual(int(served), 200)
        lua = self.agent("lua")
        lua.server("mine=echo")
        wait_until(lambda: npm.call("mine", 2)["values"] == [2])
        status = npm.ask("status", node="m")["status"]
        self.assertEqual(sorted(status["methods"]), ["mine", "theirs"], "and sees no more than methods")
        self.assertEqual([e for e in npm.events() if e["event"] != "message"], [], "no unknown message")
        self.assertTrue(npm.is_alive())


if __name__ == "__main__":
    unittest.main()
