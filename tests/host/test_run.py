"""clouds run: scripts, code, modules, their arguments, errors and status; what stops and what goes on."""
import os
import subprocess
import unittest

from support import BOUND, CLOUDS, SANITIZED, Case


class Scripts(Case):
    def test_arguments_and_arg(self):
        script = self.file("a.lua", "print(arg[0], arg[1], arg[2], #arg, ...) print(arg[-1], arg[-2])")
        result = self.run_clouds("run", script, "-x", "--", "y")
        self.assertEqual(result.stdout, f"{script}\t-x\t--\t3\t-x\t--\ty\nrun\t{CLOUDS}\n")

    def test_a_script_is_a_program_by_its_first_line(self):
        folder = os.path.dirname(CLOUDS)
        env = {**self.env, "PATH": folder + ":" + self.env["PATH"]}
        for line in ("#!" + CLOUDS, "#!/usr/bin/env clouds"):
            script = self.file("program", line + "\nprint(arg[0], ...) return 5")
            os.chmod(script, 0o755)
            result = subprocess.run([script, "run", "--help", "-x"], env=env, stdin=subprocess.DEVNULL,
                                    capture_output=True, text=True, timeout=BOUND)
            self.assertEqual((result.returncode, result.stdout), (5, f"{script}\trun\t--help\t-x\n"), result.stderr)

    def test_a_script_needs_no_command(self):
        self.file("plain", "print('plain', ...)")
        self.file("named.lua", "print('named', ...)")
        self.file("call", "print('not this')")
        for words, out in ((["plain", "-x"], "plain\t-x\n"), (["named.lua"], "named\n"), (["./plain"], "plain\n"),
                           (["--url", "inproc:", "plain", "1"], "plain\t1\n"), (["-e", "print(1)"], "1\n"),
                           (["-e", "print(1)", "plain", "2"], "1\nplain\t2\n")):
            result = self.run_clouds(*words, cwd=self.folder)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, out, ""), words)
        self.assertEqual(self.run_clouds("call", cwd=self.folder).returncode, 2)

    def test_a_second_script_is_not_left_out_in_silence(self):
        a, b = self.file("a.lua", "print('a', #arg)"), self.file("b.lua", "print('b')")
        result = self.run_clouds("run", a, b)
        self.assertEqual((result.returncode, result.stdout), (0, "a\t1\n"))
        self.assertIn("b.lua is an argument of", result.stderr)
        self.assertEqual(self.run_clouds("run", "--", a, b).stderr, "")
        self.assertEqual(self.run_clouds(a, b).stderr, "")
        self.assertEqual(self.run_clouds("run", a, "none.lua").stderr, "")

    def test_modules_beside_the_script(self):
        os.makedirs(os.path.join(self.folder, "parts", "deep"))
        self.file("one.lua", "return 1")
        self.file("parts/init.lua", "return 20")
        self.file("parts/deep/three.lua", "return 300")
        script = self.file("main.lua", "print(require 'one' + require 'parts' + require 'parts.deep.three')")
        os.symlink(script, os.path.join(self.folder, "parts", "link"))
        for path, cwd in ((script, "/"), ("main.lua", self.folder), ("../main.lua", os.path.join(self.folder, "parts")),
                          (os.path.join(self.folder, "parts", "link"), "/")):
            self.assertEqual(self.run_clouds("run", path, cwd=cwd).stdout, "321\n", path)

    def test_it_ends_when_the_methods_of_several_connections_are_gone(self):
        """Each connection counts its operations by itself, so two of them have the same number."""
        script = self.file("main.lua", """
            local clouds = require "clouds"
            clouds.spawn(function()
                local servers = { clouds.server { url = "inproc:a" }, clouds.server { url = "inproc:b" } }
                for _, each in ipairs(servers) do assert(each:register("m", print)) end
                local results = clouds.wait_all(function() return servers[1]:unregister "m" end,
                    function() return servers[2]:unregister "m" end)
                print(results[1][1], results[2][1])
            end)
        """)
        self.assertEqual(self.run_clouds("run", script).stdout, "true\ttrue\n")

    def test_modules_beside_the_script_come_before_those_of_the_current_folder(self):
        os.mkdir(os.path.join(self.folder, "here"))
        self.file("one.lua", "return 'beside'")
        self.file("here/one.lua", "return 'here'")
        self.file("here/two.lua", "return 'here'")
        script = self.file("main.lua", "print(require 'one', require 'two')")
        result = self.run_clouds("run", script, cwd=os.path.join(self.folder, "here"))
        self.assertEqual(result.stdout, "beside\there\n")

    def test_pieces_run_in_order(self):
        self.file("mod_a.lua", "print('module', ...)")
        script = self.file("b.lua", "print('script', ...)")
        result = self.run_clouds("run", "-e", "print('first')", "-l", "mod_a", "-e", "print('third')", script, "x",
                                 cwd=self.folder)
        self.assertEqual(result.stdout, "first\nmodule\tmod_a\nthird\nscript\tx\n")

    def test_standard_input_is_a_script(self):
        result = self.run_clouds("run", "-", "x", input="#!/usr/bin/env clouds\nprint(arg[0], ...) return 4")
        self.assertEqual((result.returncode, result.stdout), (4, "-\tx\n"))

    def test_the_number_returned_is_the_status(self):
        for code, status in (("return 3", 3), ("return 0", 0), ("return", 0), ("return true", 0), ("return 'x'", 0),
                             ("require('clouds').sleep(0.01) return 7", 7)):
            self.assertEqual(self.run_clouds("run", "-e", code).returncode, status, code)

    def test_a_script_that_waits_ends_by_itself(self):
        result = self.run_clouds("run", "-e", "local c = require 'clouds' c.sleep(0.05) print('slept') "
                                 "c.spawn(function() c.sleep(0.05) print('spawned') end) print('main')")
        self.assertEqual((result.returncode, result.stdout), (0, "slept\nmain\nspawned\n"))

    def test_a_client_alone_does_not_keep_it_running(self):
        result = self.run_clouds("run", "-e", "require('clouds').client{} print('made')")
        self.assertEqual((result.returncode, result.stdout), (0, "made\n"))

    def test_a_sleep_that_was_canceled_does_not_keep_it_running(self):
        result = self.run_clouds("run", "-e", """
            local clouds = require "clouds"
            local server, client = clouds.server(), clouds.client()
            local canceled
            assert(server:register("slow", function() canceled = select(2, clouds.sleep(1e6)).code end))
            print(select(2, client:call("slow", {}, { timeout = 1 })).code)
            repeat clouds.sleep(0.01) until canceled
            print(canceled)
            client:close()
            server:close()""")
        self.assertEqual((result.returncode, sorted(result.stdout.split())), (0, ["CLOUDS_CALL_SERVICE_TIMEOUT", "CLOUDS_CANCELED"]), result.stderr)

    def test_a_service_keeps_it_running(self):
        service = self.serve("require('clouds').server{}:register('m', function() end) print('ready')")
        self.assertIsNone(service.popen.poll())
        self.assertEqual(service.stop(), 0)
        self.assertEqual(service.err.text(), "")

    def test_waiting_for_nothing_is_told(self):
        result = self.run_clouds("run", "-e", "local core = require('clouds.core') core.wait(core.slot())")
        self.assertEqual(result.returncode, 1)
        self.assertIn("nothing is left that could wake it", result.stderr)

    def test_loading_clouds_is_the_same_module_everywhere(self):
        result = self.run_clouds("run", "-e", "print(require 'clouds' == package.loaded.clouds,"
                                              " type(require 'clouds.core'))")
        self.assertEqual(result.stdout, "true\ttable\n")


class Errors(Case):
    def failing(self, code, *texts):
        script = self.file("bad.lua", code)
        result = self.run_clouds("run", script)
        self.assertEqual(result.returncode, 1, result.stderr)
        for text in texts:
            self.assertIn(text, result.stderr)
        return result

    def test_file_line_and_traceback(self):
        self.failing("local function f()\n  error('broken')\nend\nf()",
                     "bad.lua:2: broken", "stack traceback", "bad.lua:4")

    def test_an_error_after_waiting(self):
        self.failing("require('clouds').sleep(0.01)\nerror('late')", "bad.lua:2: late", "stack traceback")

    def test_syntax(self):
        self.failing("x = = 1", "bad.lua:1:", "unexpected symbol")

    def test_error_values_of_every_kind(self):
        self.failing("error({ message = 'in a table' })", "in a table")
        self.failing("error(setmetatable({}, { __tostring = function() return 'by tostring' end }))", "by tostring")
        self.failing("error({ code = 'E_X', message = 'both' })", "E_X: both")
        self.failing("error({})", "(error object is a table value) {}")
        self.failing("error()", "(error object is a nil value)")
        self.failing("error(setmetatable({}, { __tostring = function() error('worse') end }))")
        self.failing("error(setmetatable({}, { __tostring = function() return {} end }))")

    def test_the_traceback_is_of_the_script_alone(self):
        result = self.failing("local function f()\n  error('broken')\nend\nf()", "bad.lua:2: broken")
        self.assertNotIn("[clouds", result.stderr)
        self.assertNotIn("xpcall", result.stderr)

    def test_what_was_called_in_a_wrong_way_blames_the_caller(self):
        wrong = "local c = require('clouds').client { url = 'inproc:' }\nc:call('m', {}, { timout = 1 })"
        result = self.failing(wrong, "bad.lua:2: unknown option 'timout'; did you mean 'timeout'?", "\n\t", "bad.lua:2: in")
        self.assertNotIn("[clouds", result.stderr)
        self.assertNotIn("'error'", result.stderr)
        result = self.run_clouds("run", "-e", "require('clouds').spawn(function() require('clouds').client { hartbeat = 1 } end)")
        self.assertIn("did you mean 'heartbeat'?", result.stderr)
        self.assertNotIn("[clouds", result.stderr)

    def test_a_module_that_is_missing(self):
        result = self.run_clouds("run", "-l", "no.such")
        self.assertEqual(result.returncode, 1)
        self.assertIn("clouds: (command line):1: module 'no.such' not found", result.stderr)

    def test_bytecode_is_named(self):
        script = os.path.join(self.folder, "code.lua")
        with open(script, "wb") as file:
            file.write(b"\x1bLJ\x02")
        result = self.run_clouds("run", script)
        self.assertEqual(result.returncode, 1)
        self.assertIn("code.lua: this is bytecode", result.stderr)

    def test_a_cluster_that_is_not_there_is_told_once(self):
        url = "redis+unix://" + os.path.join(self.folder, "none.sock")
        silent = self.start("run", "--url", url, "-e", "local c = require 'clouds' c.client {} c.sleep(1)")
        listening = """local c, told = require 'clouds', false
            c.client():on('down', function(e) if not told then told = true print(e.code) end end) c.sleep(1)"""
        result = self.run_clouds("run", "--url", url, "-e", listening)
        self.assertEqual(silent.wait(), 0)
        self.assertEqual(silent.err.text().count("error in a connection: CLOUDS_UNREACHABLE"), 1, silent.err.text())
        self.assertEqual((result.stdout, result.stderr), ("CLOUDS_UNREACHABLE\n", ""))

    def test_an_empty_variable_is_none(self):
        self.env["CLOUDS_URL"] = ""
        result = self.run_clouds("run", "-e", "print(require('clouds').client():ready())")
        self.assertEqual((result.stdout, result.stderr), ("true\n", ""))

    def test_errors_in_coroutines_are_told_in_words(self):
        result = self.run_clouds("run", "-e", "require('clouds').spawn(function() "
                                              "error({ code = 'E', message = 'm' }) end)")
        self.assertEqual(result.returncode, 0)
        self.assertIn("clouds: error in a coroutine: E: m\n", result.stderr)
        self.assertNotIn("[clouds", result.stderr)

    def test_missing_files(self):
        for words in (["run"], []):
            result = self.run_clouds(*words, os.path.join(self.folder, "none.lua"))
            self.assertEqual(result.returncode, 2)
            self.assertIn("none.lua: No such file", result.stderr)
            result = self.run_clouds(*words, self.folder)
            self.assertEqual(result.returncode, 2)
            self.assertIn("Is a directory", result.stderr)
        result = self.run_clouds("run", "-l", "no.such.module")
        self.assertEqual(result.returncode, 1)
        self.assertIn("module 'no.such.module' not found", result.stderr)

    def test_output_comes_before_the_error(self):
        result = subprocess.run([CLOUDS, "run", "-e", "io.write('written') error('then')"], env=self.env, timeout=BOUND,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.assertTrue(result.stdout.startswith("written"), result.stdout)

    def test_an_error_in_a_coroutine_or_timer_takes_nothing_down(self):
        service = self.serve("""
            local clouds = require "clouds"
            clouds.server{}:register("m", function() return "alive" end)
            clouds.spawn(function() clouds.sleep(0.01) error("in a coroutine") end)
            clouds.spawn(function() error("at once") end)
            clouds.spawn(function() clouds.sleep(0.05) print("ready") end)
        """)
        service.err.wait_for("in a coroutine")
        service.err.wait_for("at once")
        self.assertEqual(self.json(self.run_clouds("call", "m", "--json")), ["alive"])
        self.assertEqual(service.stop(), 0)

    def test_deep_recursion_is_an_error(self):
        self.failing("local function f() return 1 + f() end f()", "stack overflow")

    def test_os_exit_ends_at_once(self):
        result = self.run_clouds("run", "-e", "io.write('out') os.exit(5)", env={"ASAN_OPTIONS": "detect_leaks=0"})
        self.assertEqual((result.returncode, result.stdout), (5, "out"))


class ServingNothing(Case):
    """A service whose registrations all failed says so and ends, unless there is something else to wait for."""

    SERVICE = "local s = require('clouds').server{} s:register('m', print) s:register('n', print) print('end') "

    def setUp(self):
        super().setUp()
        # A user who may do everything but write: each registration fails.
        self.server = self.redis()
        self.server.command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "&*", "+@all", "-@write")
        self.env["CLOUDS_URL"] = self.server.url.replace("redis+unix://", "redis+unix://reader:pw@")

    def test_it_ends_with_the_reason(self):
        result = self.run_clouds("run", "-e", self.SERVICE)
        self.assertEqual((result.returncode, result.stdout), (1, "end\n"))
        self.assertRegex(result.stderr, r"clouds: nothing is served: CLOUDS_\w+: .")

    def test_what_the_script_handles_is_left_to_it(self):
        code = "require('clouds').spawn(function() require('clouds').sleep(0.05) print('handled') s:close() end) return 3"
        result = self.run_clouds("run", "-e", self.SERVICE.replace("local s", "s") + code)
        self.assertEqual((result.returncode, result.stdout), (3, "end\nhandled\n"))
        self.assertNotIn("nothing is served", result.stderr)

    def test_one_registration_is_enough(self):
        service = self.serve(self.SERVICE + "require('clouds').server{ url = 'inproc:' }:register('m', print) print('ready')")
        self.assertEqual(service.stop(), 0)


class RuntimeFolder(Case):
    def run_on(self, options, *words):
        """Runs `clouds` with its runtime folder on a file system of its own with these options."""
        script = 'mount -t tmpfs -o "$1" none "$CLOUDS_RUNTIME_DIR" && shift && exec "$@"'
        return subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", options, CLOUDS, *words], env=self.env,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOUND)

    def test_full_or_read_only(self):
        if subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no mount namespaces here")
        for options, reason in (("ro", "Read-only file system"), ("nr_inodes=3", "No space left on device"),
                                ("nr_inodes=5", "No space left on device")):
            result = self.run_on(options, "run", "-e", "require('clouds').server{}:register('m', print)")
            self.assertEqual(result.returncode, 1, (options, result.stderr))
            self.assertIn(reason, result.stderr)
        for words in (["call", "m"], ["status"], ["send", "n", "1"]):
            result = self.run_on("ro", *words)
            self.assertEqual(result.returncode, 3, (words, result.stderr))
            self.assertIn("Read-only file system", result.stderr)
            self.assertNotIn("traceback", result.stderr)


class TextOnly(Case):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.folder, "code.lua")
        maker = self.file("make.lua", """
            local file = io.open(arg[1], "wb")
            file:write(string.dump(function() print("ran") end))
            file:close()""")
        self.assertEqual(self.run_clouds("run", maker, self.path).returncode, 0)

    def test_scripts(self):
        result = self.run_clouds("run", self.path)
        self.assertEqual((result.returncode, result.stdout), (1, ""))

    def test_modules_and_loaders(self):
        bytes_of = "io.open('code.lua', 'rb'):read('*a')"
        for code in ("require 'code'", "dofile('code.lua')", "assert(loadfile('code.lua'))()",
                     "assert(loadfile('code.lua', 'b'))()", f"assert(load({bytes_of}))()",
                     f"assert(load({bytes_of}, 'x', 'bt'))()", f"assert(loadstring({bytes_of}))()"):
            result = self.run_clouds("run", "-e", code, cwd=self.folder)
            self.assertEqual((result.returncode, result.stdout), (1, ""), code)

    def test_text_still_loads_in_every_way(self):
        self.file("plain.lua", "return 'text', ...")
        code = """
            assert(dofile('plain.lua') == 'text')
            assert(loadfile('plain.lua')() == 'text' and loadfile('plain.lua', 't')() == 'text')
            assert(require 'plain' == 'text')
            assert(load('return 1')() == 1 and loadstring('return 2')() == 2)
            assert(load(coroutine.wrap(function() coroutine.yield('return ') coroutine.yield('3') end))() == 3)
            assert(load('return x', 'n', 't', { x = 4 })() == 4)
            assert(load('return print', 'n', 't', nil)() == print)
            assert(select(2, load('=', '=name')):find('name:1:', 1, true))
            assert(not loadfile('nothing.lua'))
            print('ok')"""
        result = self.run_clouds("run", "-e", code, cwd=self.folder)
        self.assertEqual((result.stdout, result.stderr), ("ok\n", ""))


class Pipes(Case):
    def test_a_service_survives_the_end_of_its_output(self):
        read_end, write_end = os.pipe()
        script = self.file("s.lua", """
            local clouds = require "clouds"
            clouds.server{}:register("m", function() for i = 1, 100 do print("noise") end return "alive" end)""")
        process = subprocess.Popen([CLOUDS, "run", script], env=self.env, stdin=subprocess.DEVNULL, stdout=write_end)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        os.close(write_end)
        os.close(read_end)
        for _ in range(3):
            result = self.run_clouds("call", "m", "--json", "--retry", "60", "--timeout", "1")
            self.assertEqual(self.json(result), ["alive"])
        process.terminate()
        self.assertEqual(process.wait(BOUND), 0)

    def test_lines_appear_at_once_in_a_pipe(self):
        process = self.start("run", "-e", "print('one') require('clouds').sleep(100)")
        process.out.wait_for("one\n")
        self.assertEqual(process.stop(), 0)


class Costs(Case):
    @unittest.skipIf(SANITIZED, "a sanitizer has costs of its own")
    def test_resident_memory_of_an_idle_service(self):
        service = self.serve("require('clouds').server{}:register('m', function() end) print('ready')")
        self.assertLess(service.resident_kb(), 12 * 1024)


if __name__ == "__main__":
    unittest.main()
