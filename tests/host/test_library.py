"""Library and Agent: what one process has, used from others as if it was their own."""
import signal
import unittest

from support import Case

RESOURCES = """
local clouds, library = require "clouds", require "clouds.library"
local Base = { greet = function(self, word) return word .. " " .. self.name end, _hidden = function() return "no" end }
Base.__index = Base
local watchers, told, hung = {}, 0, {}
local db = setmetatable({ name = "db", _rows = { k = "v" }, limits = { most = 3, list = { 1, 2 } } }, Base)
db.me = db
function db.get(key) return db._rows[key] end
function db.slow(seconds) clouds.sleep(seconds) return "slept" end
function db.many(...) return select("#", ...), ... end
function db.wrap(value) return coroutine.wrap(function() clouds.sleep(0.01) return "wrapped " .. value end)() end
function db.fail() error { code = "E_ROW", message = "no such row", row = 7 } end
function db.raise() error("a mistake") end
function db.none() return nil, "not here" end
function db.circle() local t = {} t.again = t return { list = { t } } end
function db.hang() hung[#hung + 1] = clouds.request():detach() return clouds.pending end
db.users = { count = function() return 2 end, kind = "people" }
local config = { version = 3, huge = false }
function config.watch(name, fn)
  watchers[fn] = true
  library.on_close(fn, function() watchers[fn] = nil end)
  fn(name, nil, "first")
  return "watching " .. name, 3
end
function config.set(count)
  for i = 1, count do
    told = told + 1
    for fn in pairs(watchers) do fn("set", told) end
  end
end
function config.large(count, size)
  for i = 1, count do
    for fn in pairs(watchers) do fn("large", i, ("x"):rep(size)) end
  end
end
function config.refuse(fn) error { code = "E_NO", message = "no watchers" } end
function config.bad(fn) return pcall(fn, print) end
function config.watchers()
  local count = 0
  for _ in pairs(watchers) do count = count + 1 end
  return count, library.subscriptions()
end
function config.pid() return PID end
library.serve {
  db = db, plain = 42,
  config = function() clouds.sleep(0.05) return config end,
}
print("ready")
"""

PRELUDE = """
local clouds, agent = require "clouds", require "clouds.agent"
local function show(...)
  local words = {}
  for i = 1, select("#", ...) do
    local value = select(i, ...)
    if clouds.is_error(value) then value = ("%s %s %s"):format(value.code, value.message, value.outcome) end
    words[i] = type(value) == "table" and clouds.json.encode(value) or tostring(value)
  end
  print(table.concat(words, " | "))
end
"""


class Library(Case):
    def setUp(self):
        super().setUp()
        self.env["CLOUDS_LIBRARY_URL"] = "local:app-library"

    def library(self, code=RESOURCES):
        return self.serve(code.replace("PID", "require('luv').os_getpid()"))

    def lines(self, code):
        """What a script with an agent prints, whose end is awaited."""
        done = self.run_clouds("run", self.file("worker.lua", PRELUDE + code))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.splitlines()

    def worker(self, code):
        process = self.start("run", self.file("worker.lua", PRELUDE + code))
        return process


class Calls(Library):
    def test_C24_as_if_local(self):
        """Functions, functions that wait, methods, fields, nested objects, inherited names."""
        self.library()
        self.assertEqual(self.lines("""
            show(agent.db.get("k"))
            show(agent.db.slow(0.01))
            show(agent.db.wrap("x"))
            show(agent.db:greet("hello"))
            show(agent.db.greet({ name = "you" }, "hello"))
            show(agent.db.many(nil, 1, nil))
            show(agent.db.name, agent.plain, agent.config.version, agent.config.huge)
            show(agent.db.limits.list)
            show(agent.db.users.count(), agent.db.users.kind, agent.db.me.me.users.count())
            show(agent.db.none())
            show(agent.db.many())
            show(tostring(agent), tostring(agent.db.users))
        """), ["v", "slept", "wrapped x", "hello db", "hello you", "3 | nil | 1 | nil", "db | 42 | 3 | false", "[1,2]",
               "2 | people | 2", "nil | not here", "0", "clouds.agent: the library | clouds.agent: db.users"])

    def test_H21_errors(self):
        """Errors of a function reach the caller; what cannot be shared or sent is refused with the reason."""
        library = self.library()
        lines = self.lines("""
            local _, err = agent.db.fail()
            show(err.code, err.message, err.row, err.outcome)
            show(select(2, agent.db.raise()).message:match("a mistake"))
            show(select(2, agent.db.circle()).message)
            show(select(2, pcall(function() return agent.db._rows end)))
            show(select(2, pcall(function() return agent.db._hidden end)))
            show(select(2, pcall(function() return agent.dbb end)))
            show(select(2, pcall(function() return agent.db.users.counts end)))
            show(select(2, pcall(function() agent.db.name = 1 end)))
            show(select(2, pcall(agent.db.get, 1, { print })))
            show(select(2, pcall(agent.db.get, agent.config)))
            show(select(2, pcall(agent.with, { time = 1 })))
            show(select(2, pcall(function() return clouds.client("local:app-library"):call("library.call",
              { { "db", "_rows", "x" }, false }) end)))
            show(agent.config.refuse(function() end))
        """)
        told = ["E_ROW | no such row | 7 | APP_ERROR", "a mistake"]
        self.assertEqual(lines[:2], told)
        self.assertIn("table that contains itself at [1].list[1].again", lines[2])
        for line, words in zip(lines[3:], ["'_rows' is not shared: names that begin with '_' are the library's own",
                                           "'_hidden' is not shared", "the library has no 'dbb'; did you mean 'db'?",
                                           "has no 'db.users.counts'; did you mean 'count'?",
                                           "'name' is the library's: it can be changed by a function",
                                           "worker.lua:22: bad arguments: cannot encode a function at [2][1]",
                                           "at [1]", "unknown option 'time'", "nil",
                                           "nil | E_NO no watchers APP_ERROR"]):
            self.assertIn(words, line)
        library.err.wait_for("a mistake")

    def test_H21_deadlines(self):
        """A function that hangs costs its caller the time it has given, and nobody else anything."""
        self.library()
        self.assertEqual(self.lines("""
            local hung = clouds.spawn(function() return agent.with { timeout = 2 }.db.hang() end)
            show(agent.db.get("k"))
            local _, err = hung:wait()
            show(err.code, err.outcome)
        """), ["v", "CLOUDS_CALL_SERVICE_TIMEOUT | UNKNOWN"])

    def test_C25_without(self):
        """Without a library only who uses it hears of that."""
        for words, env in ((r"there is no library here.*CLOUDS_LIBRARY_URL", {"CLOUDS_LIBRARY_URL": ""}),
                           (r"this application has no library: expected clouds start --library",
                            {"CLOUDS_LIBRARY_URL": "", "CLOUDS_APP": "shop"})):
            done = self.run_clouds("run", "-e", "local a = require 'clouds.agent' print 'on' print(a.db)", env=env)
            self.assertEqual((done.returncode, done.stdout), (1, "on\n"))
            self.assertRegex(done.stderr, words)
        done = self.run_clouds("run", "-e", "local a = require 'clouds.agent' print(a.with{timeout=0.2}.db)")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, "the library of the application was not there within 0.2 s")

    def test_serving_what_is_wrong(self):
        """What cannot be served says why."""
        for code, words in (("5", "expected a table of resources"), ("{ 1 }", "got the key 1"),
                            ("{ with = {} }", "cannot be called 'with'"),
                            ("{ db = function() return 5 end }", "db: expected a function that returns a table, got number"),
                            ("function() return { db = {} } end) library.serve({}", "serves already")):
            done = self.run_clouds("run", "-e", f"library = require 'clouds.library' library.serve({code})")
            self.assertEqual(done.returncode, 1, code)
            self.assertIn(words, done.stderr)
        done = self.run_clouds("run", "-e", "require 'clouds.library'.serve {}", env={"CLOUDS_LIBRARY_URL": ""})
        self.assertRegex(done.stderr, "not the library of an application: expected clouds start --library")

    def test_C26_a_function_that_returns_the_resources_later(self):
        self.serve("""
            local clouds = require "clouds"
            require "clouds.library".serve(function()
              clouds.sleep(0.05)
              return { late = { get = function() return "late" end } }
            end)
            print "ready"
        """)
        self.assertEqual(self.lines('show(agent.late.get())'), ["late"])

    def test_once(self):
        """clouds.once runs in the library only."""
        code = """
            local clouds = require "clouds"
            print(clouds.once("job", function() print "ran" end), clouds.once("job", function() print "twice" end))
            clouds.sleep(0.05)
        """
        self.assertEqual(self.lines(code), ["false\tfalse"])
        library = self.serve("require 'clouds.library'" + code + "print 'ready'")
        self.assertEqual(library.out.text(), "true\tfalse\nran\nready\n")
        self.env["CLOUDS_LIBRARY_URL"] = ""
        self.assertEqual(self.lines(code), ["true\tfalse", "ran"])
        done = self.run_clouds("run", "-e", "require 'clouds'.once('job', print)", env={"CLOUDS_APP": "shop"})
        self.assertRegex(done.stderr, "clouds.once: this application has no library")


class Events(Library):
    def test_C24_order_and_close(self):
        """A function as the last argument is called for each call of it over there, in order, until it is closed."""
        self.library()
        lines = self.lines("""
            local got, first = {}, nil
            local sub, text, number = agent.config.watch("x", function(what, value, more)
              if what == "x" then first = { what, tostring(value), more } return end
              if value == 1 then clouds.sleep(0.05) end
              got[#got + 1] = value
            end)
            show(text, number, tostring(sub))
            agent.config.set(500)
            while #got < 500 do clouds.sleep(0.01) end
            local right = true
            for i = 1, 500 do right = right and got[i] == i end
            show(first[1], first[2], first[3], right, sub.missed)
            show(agent.config.watchers())
            sub:close()
            sub:close()
            repeat clouds.sleep(0.01) until agent.config.watchers() == 0
            show(agent.config.watchers())
            agent.config.set(5)
            clouds.sleep(0.05)
            show(#got)
            local bad, ok, why = agent.config.bad(function() end)
            show(ok, why)
            bad:close()
        """)
        self.assertEqual(lines[:5], ["watching x | 3 | clouds.agent subscription: config.watch", "x | nil | first | true | 0",
                                     "1 | 1", "0 | 0", "500"])
        self.assertRegex(lines[5], "^false .*what config.bad tells: cannot encode a function at \\[1\\]")

    def test_gap(self):
        """At most 1000 wait for a function that is slow: the oldest are dropped, and that is told."""
        self.library()
        lines = self.lines("""
            local got, gaps, hold = {}, 0, true
            local sub = agent.config.watch("x", function(what, value)
              while hold do clouds.sleep(0.01) end
              got[#got + 1] = value
            end)
            sub:on("gap", function(count) gaps = gaps + count end)
            agent.config.set(5000)
            clouds.sleep(0.2)
            hold = false
            while got[#got] ~= 5000 do clouds.sleep(0.01) end
            local right = true
            for i = 3, #got do right = right and got[i] == got[i - 1] + 1 end
            show(gaps == sub.missed, gaps > 3500, #got - 1 + gaps == 5000, #got <= 2001, right)
            sub:close()
        """)
        self.assertEqual(lines, ["true | true | true | true | true"])

    def test_large(self):
        """At most 8 MB wait on either side; what is too large for a message is the error of who tells it."""
        self.library()
        lines = self.lines("""
            local got, hold = {}, true
            local sub = agent.config.watch("x", function(what, value)
              while hold do clouds.sleep(0.01) end
              got[#got + 1] = value
            end)
            agent.config.large(60, 1000000)
            clouds.sleep(0.2)
            hold = false
            while got[#got] ~= 60 do clouds.sleep(0.01) end
            show(#got - 1 + sub.missed, #got < 30)
            show(select(2, agent.config.large(1, 5000000)).message)
            sub:close()
        """)
        self.assertEqual(lines[0], "60 | true")
        self.assertIn("config.watch tells has 50000", lines[1])

    def test_worker_gone(self):
        """Subscriptions are closed with their worker: nothing of them is left, and others are not touched."""
        self.library()
        workers = [self.worker("""
            for i = 1, 100 do agent.config.watch("x", function(what) end) end
            print "ready"
        """) for _ in range(3)]
        for worker in workers:
            worker.out.wait_for("ready")
        keeper = self.worker("""
            local last
            agent.config.watch("x", function(what, value) last = value end)
            print "ready"
            while true do
              agent.config.set(1)
              clouds.sleep(0.05)
              print("watchers " .. agent.config.watchers() .. " last " .. tostring(last))
            end
        """)
        keeper.out.wait_for("watchers 301")
        for worker in workers:
            worker.signal(signal.SIGKILL)
        keeper.out.wait_for("watchers 1 last ")


class Restarts(Library):
    def test_C32_killed_and_another(self):
        """What was under way ends as unknown, what comes waits for the next library, subscriptions are made again."""
        library = self.library()
        worker = self.worker("""
            local got, again
            local sub = agent.config.watch("x", function(what, value) got = value end)
            sub:on("again", function(text, number) again = text .. " " .. number end)
            print("first", agent.config.pid())
            clouds.spawn(function() show("hang", agent.db.hang()) end)
            clouds.sleep(0.05)
            local before = agent.config.pid()
            local pid = before
            print "ready"
            repeat
              local now, err = agent.config.pid()
              pid = now or pid
              if err then show("call", err.outcome, err.code) end
            until pid ~= before
            print("other", pid ~= before)
            while not again do clouds.sleep(0.01) end
            print(again)
            agent.config.set(9)
            while got ~= 9 do clouds.sleep(0.01) end
            print "events"
            sub:close()
        """)
        worker.out.wait_for("ready")
        library.signal(signal.SIGKILL)
        worker.out.wait_for("hang | nil | CLOUDS_CONNECTION_LOST")
        self.library()
        worker.out.wait_for("events")
        self.assertIn("watching x 3\n", worker.out.text())
        self.assertEqual(worker.wait(), 0, worker.err.text())

    def test_stopped_and_another(self):
        """In order: what the library has accepted is answered, and nothing else fails."""
        library = self.library()
        worker = self.worker("""
            local agains, stop, calls = 0, false, 0
            local sub = agent.config.watch("x", function() end)
            sub:on("again", function() agains = agains + 1 end)
            local slow = clouds.spawn(function() return agent.db.slow(0.5) end)
            local callers = {}
            for i = 1, 10 do
              callers[i] = clouds.spawn(function()
                while not stop do
                  local value, err = agent.db.get("k")
                  if value ~= "v" then show("failed", err) end
                  calls = calls + 1
                end
              end)
            end
            print "ready"
            show(slow:wait())
            while agains == 0 do clouds.sleep(0.01) end
            local before = calls
            while calls < before + 100 do clouds.sleep(0.01) end
            stop = true
            clouds.wait_all(callers)
            sub:close()
            print "end"
        """)
        worker.out.wait_for("ready")
        library.signal(signal.SIGTERM)
        self.library()
        self.assertEqual(worker.wait(), 0, worker.err.text())
        self.assertEqual(worker.out.text(), "ready\nslept\nend\n")
        self.assertEqual(library.wait(), 0, library.err.text())

    def test_changed_names(self):
        """The signature is another after a restart; a subscription that cannot be made again says so and ends."""
        library = self.library()
        worker = self.worker("""
            local db = agent.db
            local sub = agent.config.watch("x", function() end)
            sub:on("error", function(err) print("error " .. err.code) end)
            print "ready"
            while true do
              local ok, fn = pcall(function() return db.fresh end)
              if ok then show(fn()) break end
              db.get("k")
              clouds.sleep(0.01)
            end
            show(db.name)
            show(pcall(function() return db.users end))
        """)
        worker.out.wait_for("ready")
        library.signal(signal.SIGKILL)
        self.serve("""require "clouds.library".serve { db = {
            fresh = function() return "fresh" end, get = print, name = "other" } } print "ready" """)
        self.assertEqual(worker.wait(), 0, worker.err.text())
        worker.out.wait_for("error NO_SUCH_MEMBER")
        self.assertRegex(worker.out.text(), r"fresh\nother\nfalse \| .*the library has no 'db.users'")

    def test_stop_of_a_worker_with_subscriptions(self):
        """It ends in order, though its request for messages is open."""
        self.library()
        worker = self.worker('agent.config.watch("x", function() end) print "ready"')
        worker.out.wait_for("ready")
        worker.signal(signal.SIGTERM)
        self.assertEqual((worker.wait(), worker.err.text()), (0, ""))


if __name__ == "__main__":
    unittest.main()
