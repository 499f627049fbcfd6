"""Handlers that fail in every way: each caller is answered, once, with something it can read, and the process lives."""
import json
import unittest

from support import Case, SANITIZED, wait_until

SERVICE = """
local clouds = require "clouds"
clouds.on_error = function() end
local server = clouds.server { max_in_flight = 200 }
local cyclic = {}; cyclic.a = cyclic
local deep = 1; for _ = 1, 300 do deep = { deep } end
local bad = {
  raises = function() error("a text") end,
  raises_table = function() error({ message = "mine", code = "E_MINE", more = { 1, 2 } }) end,
  raises_nil = function() error(nil) end,
  raises_cyclic = function() error(cyclic) end,
  raises_function = function() error(print) end,
  raises_bytes = function() error("\\255\\254") end,
  raises_unreadable = function() error(setmetatable({}, { __tostring = function() error("no") end, __index = error })) end,
  returns_function = function() return print end,
  returns_cyclic = function() return cyclic end,
  returns_deep = function() return deep end,
  returns_bytes = function() return "\\255" end,
  returns_coroutine = function() return coroutine.create(print) end,
  returns_mixed = function() return { 1, 2, x = 3 } end,
  returns_much = function() return ("x"):rep(5000000) end,
  overflows = function() local function f() return 1 + f() end return f() end,
  forgets = function() clouds.request():detach() end,
  answers_twice = function() local r = clouds.request() r.reply(1) r.reply(2) r.fail("three") return 4 end,
  returns_nothing = function() end,
  returns_nils = function() return nil, nil end,
  wakes_elsewhere = function() clouds.sleep(0.01) error({ message = "later" }) end,
}
for name, fn in pairs(bad) do server:register(name, fn) end
local kept, open = {}, true
server:register("never", function() if open then kept[#kept + 1] = clouds.request():detach() end end)
server:register("release", function() open = false for _, r in ipairs(kept) do r:reply("late") end local n = #kept kept = {} return n end)
server:register("echo", function(...) return ... end)
server:register("said", function() return server:counters(), #kept end)
clouds.spawn(function() while open do clouds.sleep(0.1) collectgarbage() end end)
print("ready")
"""

# Every bad handler many times over, mixed with sound calls; books of what came back.
CALLER = """
local clouds = require "clouds"
local client = clouds.client { timeout = 20 }
local rounds, names = tonumber(arg[1]), clouds.json.decode(arg[2])
local said, wrong, ended, tasks = {}, 0, 0, {}
for round = 1, rounds do
  for i, name in ipairs(names) do
    tasks[#tasks + 1] = function()
      local n, back, err = 0
      local function take(...) n = select("#", ...) back, err = ... end
      take(client:call(name, { round }))
      ended = ended + 1
      local key = clouds.is_error(err) and err.outcome .. " " .. tostring(err.code) or "ok " .. n
      if clouds.is_error(err) and (type(err.message) ~= "string" or err.message == "") then wrong = wrong + 1 end
      said[name] = said[name] or {}
      said[name][key] = (said[name][key] or 0) + 1
      if client:call("echo", { round * 1000 + i }) ~= round * 1000 + i then wrong = wrong + 1 end
    end
    if #tasks == 50 then clouds.wait_all(tasks) tasks = {} end
  end
end
clouds.wait_all(tasks)
print(clouds.json.encode { said = said, wrong = wrong, ended = ended })
"""

# 1000 callers at a handler that never answers; the library's own limit is what they see.
CROWD = """
local clouds = require "clouds"
local client = clouds.client {}
local said, tasks, messages = {}, {}, {}
for i = 1, 1000 do
  tasks[i] = function()
    local back, err = client:call("never", { i }, { timeout = tonumber(arg[1]), retry = 0 })
    local key = err and err.outcome .. " " .. err.code or "ok " .. tostring(back)
    said[key] = (said[key] or 0) + 1
    if err then messages[err.code] = err.message end
  end
end
clouds.wait_all(tasks)
print(clouds.json.encode { said = said, messages = messages })
"""

FAILS = ["raises", "raises_table", "raises_nil", "raises_cyclic", "raises_function", "raises_bytes", "raises_unreadable",
         "returns_function", "returns_cyclic", "returns_deep", "returns_bytes", "returns_coroutine", "returns_mixed",
         "returns_much", "overflows", "forgets", "wakes_elsewhere"]
WORKS = {"answers_twice": "ok 1", "returns_nothing": "ok 0", "returns_nils": "ok 2"}
ROUNDS = 5
CROWDS = 2
LIMIT = 200  # max_in_flight of the service


class Handlers(Case):
    def every_way(self):
        service = self.serve(SERVICE)
        names = FAILS + list(WORKS)
        result = self.json(self.run_clouds("run", self.file("caller.lua", CALLER), str(ROUNDS),
                                           json.dumps(names), bound=120))
        self.assertEqual((result["ended"], result["wrong"]), (ROUNDS * len(names), 0), result)
        for name in FAILS:
            self.assertEqual(len(result["said"][name]), 1, result["said"][name])
            (key, count), = result["said"][name].items()
            self.assertEqual(count, ROUNDS)
            self.assertRegex(key, "^APP_ERROR ", name)
        for name, key in WORKS.items():
            self.assertEqual(result["said"][name], {key: ROUNDS}, name)
        self.assertEqual(result["said"]["raises_table"], {"APP_ERROR E_MINE": ROUNDS})
        self.assertEqual(service.stop(), 0)

    def test_over_local(self):
        self.every_way()

    def test_over_redis(self):
        self.redis()
        self.every_way()

    def overdue(self):
        """Requests that were closed at their deadline; None while there is no place for this one."""
        said = self.run_clouds("call", "said", "--json")
        return self.json(said)[0]["overdue_requests"] if said.returncode == 0 else None

    def crowd(self):
        service = self.serve(SERVICE)
        before = service.resident_kb()
        for crowd in range(CROWDS):
            result = self.json(self.run_clouds("run", self.file("crowd.lua", CROWD), "5", bound=60))
            self.assertEqual(sum(result["said"].values()), 1000, result)
            # The first to come keep their places until their callers gave up, and no longer.
            self.assertEqual(result["said"], {"NOT_DONE CLOUDS_OVERLOADED": 1000 - LIMIT,
                                              "UNKNOWN CLOUDS_CALL_SERVICE_TIMEOUT": LIMIT}, result)
            self.assertIn("busy", result["messages"]["CLOUDS_OVERLOADED"])
            self.assertIsNone(service.popen.poll())
            wait_until(lambda: self.overdue() == (crowd + 1) * LIMIT, "their places are free")
        if not SANITIZED:
            self.assertLess(service.resident_kb() - before, 20 * 1024)
        self.assertEqual(self.json(self.run_clouds("call", "release", "--json", "--retry", "5", "--timeout", "10")),
                         [CROWDS * LIMIT])
        self.assertEqual(self.json(self.run_clouds("call", "echo", "7", "--json")), [7])
        self.assertEqual(service.err.text().count("traceback"), 0)

    def test_nobody_answers_and_callers_come_in_crowds(self):
        self.crowd()

    def test_nobody_answers_and_callers_come_in_crowds_over_redis(self):
        self.redis()
        self.crowd()

    def test_recovery(self):
        """What was kept is answered at last, and the service takes new requests as before."""
        service = self.serve(SERVICE.replace('server:register("release"', '''
            clouds.spawn(function()
              while #kept < 200 do clouds.sleep(0.01) end
              while server:counters().refused_requests < 800 do clouds.sleep(0.01) end
              for _, r in ipairs(kept) do r:reply("late") end
              kept, open = {}, false
            end)
            server:register("release"'''))
        result = self.json(self.run_clouds("run", self.file("crowd.lua", CROWD), "20", bound=60))
        self.assertEqual(result["said"], {"ok late": LIMIT, "NOT_DONE CLOUDS_OVERLOADED": 1000 - LIMIT}, result)
        self.assertEqual(self.json(self.run_clouds("call", "echo", "7", "--json")), [7])
        counters, kept = self.json(self.run_clouds("call", "said", "--json"))
        self.assertEqual((counters["refused_requests"], kept), (1000 - LIMIT, 0), counters)
        self.assertEqual(counters["requests"] - 1, counters["replies"], counters)
        self.assertEqual(service.stop(), 0)


if __name__ == "__main__":
    unittest.main()
