"""clouds start and the operating system: who the workers are, and what they may use."""
import grp
import json
import os
import pwd
import re
import signal
import unittest

from support import CLOUDS, Case, Process, wait_until

IS_ROOT = os.geteuid() == 0
AS_ROOT = unittest.skipUnless(IS_ROOT, "needs root: workers become another user")

# A worker tells what it is, in one line.
TELLS = r"""
local told = { env = {} }
for line in io.lines "/proc/self/status" do
  local key, value = line:match("^([%w_]+):%s*(.-)%s*$")
  told[key] = value:gsub("%s+", " ")
end
local pipe = io.popen [[umask; pwd; nice; ulimit -n; ulimit -c; ls -l /proc/$PPID/fd | sed -n 's/.* -> /fd /p']]
told.shell = pipe:read "*a"
pipe:close()
for _, name in ipairs { "USER", "HOME", "LOGNAME", "XDG_RUNTIME_DIR", "NOTIFY_SOCKET", "LISTEN_FDS", "COLOUR" } do
  told.env[name] = os.getenv(name)
end
local ffi = require "ffi"
ffi.cdef "int setuid(unsigned); int setgid(unsigned);"
told.again = { ffi.C.setuid(0), ffi.C.setgid(0) }
local words = {}
for name, value in pairs(told) do
  if type(value) == "string" then words[#words + 1] = ("%s=%q"):format(name, (value:gsub("\n", ";"))) end
end
for name, value in pairs(told.env) do words[#words + 1] = ("env_%s=%q"):format(name, value) end
words[#words + 1] = ("again=%q"):format(table.concat(told.again, " "))
print("told " .. table.concat(words, ",") .. " end")
require("clouds").server {}:register("x", function() end)
"""


def facts(text):
    """Of each worker that told: what it is, as texts by name."""
    return [dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in re.findall(r"told (.*)", text)]


def environment(told):
    return {name[4:]: value for name, value in told.items() if name.startswith("env_")}


class Told(Case):
    def setUp(self):
        super().setUp()
        os.chmod(self.folder, 0o755)  # the workers of another user read the script
        self.script = self.file("web.lua", TELLS)
        os.chmod(self.script, 0o644)

    def open(self, *options, fds=(), env=None):
        self.master = Process([CLOUDS, "start", "--workers", "1", *options, self.script],
                              dict(self.env, **(env or {})), pass_fds=fds)
        self.addCleanup(self.master.discard)
        return self.master

    def told(self, *options, **words):
        """What the worker says of itself."""
        self.open(*options, **words)
        self.master.err.wait_for("web ready: ")
        self.master.out.wait_for(" end\n")
        told = facts(self.master.out.text())[0]
        self.master.signal(signal.SIGTERM)
        self.assertEqual(self.master.wait(), 0, self.master.err.text())
        return told

    def refused(self, message, *options):
        self.open(*options)
        self.assertEqual(self.master.wait(), 2, self.master.err.text())
        self.assertIn(message, self.master.err.text())


@AS_ROOT
class Users(Told):
    def test_H15_a_user(self):
        """Nothing of root is left, and of the master's descriptors only the channel."""
        nobody = pwd.getpwnam("nobody")
        open_file = os.open(self.file("secret", "x"), os.O_RDONLY)
        self.addCleanup(os.close, open_file)
        told = self.told("--user", "nobody", "--url", "inproc:a", fds=(open_file,),
                         env={"XDG_RUNTIME_DIR": "/run/user/0", "USER": "root", "HOME": "/root"})
        self.assertEqual(told["Uid"], " ".join([str(nobody.pw_uid)] * 4))
        self.assertEqual(told["Gid"], " ".join([str(nobody.pw_gid)] * 4))
        self.assertEqual(told["Groups"].split(), [str(id) for id in os.getgrouplist("nobody", nobody.pw_gid)])
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            self.assertEqual(int(told[kind], 16), 0, kind)
        self.assertEqual(told["NoNewPrivs"], "1")
        self.assertEqual(told["again"], "-1 -1")
        self.assertEqual(environment(told), {"USER": "nobody", "LOGNAME": "nobody", "HOME": nobody.pw_dir})
        fds = re.findall(r"fd ([^;]*)", told["shell"])
        self.assertEqual([fd for fd in fds if fd.startswith("/") and fd != "/dev/null"
                          and not fd.startswith("/proc/")], [])
        self.assertEqual(len([fd for fd in fds if fd.startswith("socket:")]), 1, fds)

    def manage(self, settings, words=""):
        """A cluster.lua of the application `shop` with these settings, that tells what its process is."""
        os.chmod(self.file("idle.lua", ""), 0o644)
        tells = TELLS.rsplit("require(", 1)[0]
        file = self.file("cluster.lua", f'local app = require "clouds.cluster".master {{ name = "shop", {settings} }}\n'
                         f'{tells}\napp:register("idle", "idle.lua", {{ workers = 1 }})\n{words}')
        os.chmod(file, 0o644)
        return file

    def test_the_manager(self):
        """Root until it says who it is to be, then that for good; also one that takes the place of another."""
        nobody = pwd.getpwnam("nobody")
        file = self.manage('user = "nobody"', 'app:on("ready", function() print "heard ready" end)')
        master = self.start("start", "-c", file)
        master.out.wait_for("heard ready")
        os.kill(int(re.search(r"manager (\d+) \| heard ready", master.out.text()).group(1)), signal.SIGKILL)
        master.err.wait_for("the manager ended: SIGKILL")
        wait_until(lambda: master.out.text().count(" end\n") == 2)
        master.signal(signal.SIGTERM)
        self.assertEqual(master.wait(), 0, master.err.text())
        managers = facts(master.out.text())
        self.assertEqual(len(managers), 2, master.out.text())
        for told in managers:
            self.assertEqual(told["Uid"], " ".join([str(nobody.pw_uid)] * 4))
            self.assertEqual(told["Gid"], " ".join([str(nobody.pw_gid)] * 4))
            self.assertEqual(told["Groups"].split(), [str(id) for id in os.getgrouplist("nobody", nobody.pw_gid)])
            self.assertEqual((int(told["CapEff"], 16), told["NoNewPrivs"], told["again"]), (0, "1", "-1 -1"))
            self.assertEqual(environment(told), {"USER": "nobody", "LOGNAME": "nobody", "HOME": nobody.pw_dir})

    def test_a_manager_that_cannot_be_who_it_should(self):
        for settings, why in (('user = "no-such-user"', "there is no user 'no-such-user'"),
                              ('group = "no-such-group"', "there is no group 'no-such-group'")):
            result = self.run_clouds("check", self.manage(settings))
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertRegex(result.stderr, rf"cluster.lua:1: {why}")

    def test_a_group(self):
        group = grp.getgrnam("daemon")
        told = self.told("--user", "nobody", "--group", "daemon", "--url", "inproc:a")
        self.assertEqual(told["Gid"], " ".join([str(group.gr_gid)] * 4))
        told = self.told("--user", "12345", "--group", "12346", "--url", "inproc:a")
        self.assertEqual((told["Uid"].split()[0], told["Gid"].split()[0], told["Groups"]), ("12345", "12346", ""))

    def test_who_is_nobody_is_refused(self):
        self.refused("there is no user 'no-such-user'", "--user", "no-such-user")
        self.refused("there is no group 'no-such-group'", "--group", "no-such-group")
        self.refused("the system does not know the user 12345: expected a group beside it", "--user", "12345")

    def test_only_root_may(self):
        master = Process(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", CLOUDS, "start", "--user", "daemon",
                          self.script], dict(self.env, HOME="/", CLOUDS_RUNTIME_DIR=""))
        self.addCleanup(master.discard)
        self.assertEqual(master.wait(), 2, master.err.text())
        self.assertIn("only root can start workers as another user or group (daemon)", master.err.text())


# An application of one group with settings that are no options of the command.
APPLICATION = """
local host = require "clouds.host"
local log = require("clouds.master.log").new()
local group = { name = "web", script = %(script)s, arguments = {}, workers = 2, drain = 8, ready_timeout = 30 }
for name, value in pairs(%(settings)s) do group[name] = value end
local function finish(code)
  log:close()
  require("clouds.loop").timer(0, function() host.finish(code) end) -- behind the end of this script
end
local plan = { name = "web", url = "inproc:a", groups = { group }, log = { capture = true } }
local app = require("clouds.master.app").new(plan, log, finish)
app:start(function(problem, code)
  if not problem then return app:stop() end
  log:plain(problem)
  if code then finish(code) end
end)
"""


class Settings(Told):
    def application(self, settings):
        code = APPLICATION % {"script": json.dumps(self.script), "settings": settings}
        self.master = self.start("run", "-e", code)
        return self.master.wait()

    def told_with(self, settings):
        self.assertEqual(self.application(settings), 0, self.master.err.text())
        return facts(self.master.out.text())

    def refused_with(self, message, settings, code=2):
        self.assertEqual(self.application(settings), code, self.master.err.text())
        self.assertIn(message, self.master.err.text())

    def test_what_a_worker_may_use(self):
        own = os.nice(0)
        for told in self.told_with("""{ umask = "027", nice = 2, cwd = "/usr", limits = { nofile = 200, core = 0 },
                                        env = { COLOUR = "blue" } }"""):
            self.assertEqual(told["shell"].split(";")[:5], ["0027", "/usr", str(min(own + 2, 19)), "200", "0"])
            self.assertEqual(environment(told)["COLOUR"], "blue")

    def test_affinity(self):
        """Worker i on the i-th processor of those that the master may use."""
        mine = sorted(os.sched_getaffinity(0))
        allowed = sorted(int(told["Cpus_allowed_list"]) for told in
                         self.told_with("{ affinity = true }"))
        self.assertEqual(allowed, sorted([mine[0], mine[1 % len(mine)]]))

    def test_what_is_wrong(self):
        self.refused_with("group web: umask: expected octal digits as 027, got '99'", '{ umask = "99" }')
        self.refused_with("group web: groups: expected a user or a group beside them", '{ groups = { "daemon" } }')
        self.refused_with("cannot enter the folder: No such file or directory", '{ cwd = "/no/such/folder" }', 1)

    @AS_ROOT
    def test_H15_further_groups(self):
        ids = sorted(grp.getgrnam(name).gr_gid for name in ("adm", "daemon", "bin"))
        for told in self.told_with('{ user = "nobody", group = "daemon", groups = { "adm", "daemon", "bin" } }'):
            self.assertEqual(sorted(map(int, told["Groups"].split())), ids)
            self.assertEqual(int(told["CapEff"], 16), 0)
        self.refused_with("there is no group 'no-such-group'", '{ user = "nobody", groups = { "no-such-group" } }')


if __name__ == "__main__":
    unittest.main()
