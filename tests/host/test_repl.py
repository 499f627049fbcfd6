"""clouds run -i: the console, through a terminal and through a pipe, while services go on."""
import os
import re
import signal
import subprocess
import unittest

from support import BOUND, CLOUDS, Case, Terminal, pending, wait_until


class OnTerminal(Case):
    def open(self, *arguments):
        env = {"XDG_STATE_HOME": self.env["CLOUDS_RUNTIME_DIR"] + "-state", **self.env}
        return Terminal(self, [CLOUDS, "run", "-i", *arguments], env)

    def terminal(self, *arguments):
        terminal = self.open(*arguments)
        terminal.wait_for("> ")
        return terminal

    def test_the_short_form(self):
        result = self.run_clouds("-i", input="1 + 1\n")
        self.assertEqual((result.returncode, result.stdout), (0, "2\n"))

    def test_expressions_statements_and_continuation(self):
        t = self.terminal()
        t.enter("1+1", r"\n2\n")
        t.enter("=1, nil, 'x'", r"\n1\tnil\tx\n")
        t.enter("x = 5", "> ")
        t.enter("x", r"\n5\n")
        t.enter("for i = 1, 2 do", ">> ")
        t.enter("print('n' .. i)", ">> ")
        t.enter("end", r"\nn1\nn2\n")
        t.enter("{ 1, { a = 'b' } }", re.escape('{ 1, { a = "b" } }'))
        t.enter("print('h\u00e4llo')", "\nh\u00e4llo\n")

    def test_errors_do_not_end_it(self):
        t = self.terminal()
        t.enter("error('boom')", "boom")
        t.enter("x = = 1", "unexpected symbol")
        t.enter("error({})", r"\(error object is a table value\) \{\}")
        t.enter("2+2", r"\n4\n")

    def test_the_end_of_input_stops_in_order_and_gives_the_terminal_back(self):
        t = self.terminal()
        t.type("\x04")
        self.assertEqual(t.end(), (0, True))

    def test_a_signal_while_a_line_is_edited(self):
        t = self.terminal()
        t.type("half a li")
        t.wait_for("half a li")
        t.popen.send_signal(signal.SIGTERM)
        self.assertEqual(t.end(), (0, True))

    def test_control_c_gives_up_the_line_and_not_the_services(self):
        t = self.terminal("-e", "clouds = require 'clouds' clouds.server{}:register('m', function(x) return x end)")
        t.type("abc\x03")
        t.wait_for(r"\n> ")
        t.enter("for i = 1, 2 do", ">> ")
        t.type("\x03")
        t.wait_for("> ")
        t.enter("40 + 2", r"\n42\n(?s:.)*> ")
        self.assertEqual(self.json(self.run_clouds("call", "m", "3", "--json")), [3])
        t.type("\x04")
        self.assertEqual(t.end(), (0, True))

    def test_control_c_ends_what_runs(self):
        t = self.terminal()
        t.enter("x = 0 function loop() while true do x = x + 1 end end", "> ")
        for line, sign in (("print('now') while true do end", "now\n"), ("print('now') clouds.sleep(1000)", "now\n"),
                           ("print('now') loop()", "now\n"),
                           ("print('now') client:call('nobody', {}, { retry = 9 })", "now\n"),
                           ("print('now') while true do clouds.sleep(0) end", "now\n")):
            t.enter(line, sign)
            t.type("\x03")
            t.wait_for("interrupted\n(?s:.)*> ")
        t.enter("6 * 7", r"\n42\n(?s:.)*> ")
        t.type("\x04")
        self.assertEqual(t.end(), (0, True))

    def test_control_c_twice_ends_a_service_in_a_loop(self):
        t = self.terminal()
        t.enter("s = clouds.server{}", "> ")
        t.enter("function hang() print('in it') while true do end end", "> ")
        t.enter("s:register('hang', hang)", "true")
        self.start("call", "hang", "--timeout", "100")
        t.wait_for("in it\n")
        t.popen.send_signal(signal.SIGINT)
        wait_until(lambda: not pending(t.popen.pid, signal.SIGINT), "the first was taken")
        t.popen.send_signal(signal.SIGINT)
        t.wait_for("interrupted")
        t.enter("'still ' .. 'here'", r"\nstill here\n")

    def test_what_is_there_to_begin_with(self):
        self.serve("require('clouds').server{}:register('m', function(x) return x + 1 end) print('ready')")
        t = self.terminal()
        t.enter("client:call('m', { 1 })", r"\n2\n")
        t.enter("clouds.version", r"\n\d+\.\d+\.\d+\n")
        t.enter("help()", r"Tab completes names")
        t.enter("help", r"Tab completes names")
        t.enter("not_there", r"\nnil\n")

    def test_a_node_is_not_taken_apart(self):
        t = self.terminal()
        answer = t.enter("client", r"\n([^\n]*)\n> ").group(1)
        self.assertNotIn("listeners", answer)
        t.enter("clouds.array({ 1, { 2 } })", re.escape("{ 1, { 2 } }"))
        t.enter("print(1) return 'a\\27[31mb'", re.escape(r"a\x1b[31mb"))

    def test_completion(self):
        t = self.terminal()
        for typed, rest, answer in (("cloud", "", "table: "), ("clouds.vers", "", r"\d+\."), ("clouds.json.enc", "", "function: "),
                                    ("client:clos", "()", "true"), ("#string.rep('x', mat", ".floor(3))", "3")):
            t.type(typed + "\t" + rest + "\n")
            t.wait_for(r"\n" + answer)
            t.wait_for("> ")

    def test_history_is_kept(self):
        t = self.terminal()
        t.enter("'one' .. 'two'", r"\nonetwo\n(?s:.)*> ")
        t.type("\x04")
        t.end()
        path = os.path.join(self.folder, "run-state", "clouds", "history")
        with open(path) as file:
            self.assertEqual(file.read(), "'one' .. 'two'\n")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        with open(path, "w") as file:
            file.write("".join(f"{i}\n" for i in range(3000)) + "'three' .. 'four'\n")
        t = self.terminal()
        t.type("\x1b[A\n")
        t.wait_for(r"\nthreefour\n")
        with open(path) as file:
            self.assertEqual(len(file.readlines()), 1001)

    def test_a_history_that_cannot_be_written_is_no_trouble(self):
        self.file("run-state", "no folder")
        t = self.terminal()
        t.enter("'one' .. 'two'", r"\nonetwo\n")

    def test_services_go_on_while_a_line_is_awaited(self):
        t = self.terminal("-e", "clouds = require 'clouds' clouds.server{}:register('m', function(x) return x end)")
        t.type("half a line")
        t.wait_for("half a line")
        self.assertEqual(self.json(self.run_clouds("call", "m", "3", "--json", "--retry", "20")), [3])

    def test_a_command_may_wait_and_call(self):
        self.serve("require('clouds').server{}:register('m', function(x) return x + 1 end) print('ready')")
        t = self.terminal("-e", "clouds = require 'clouds' client = clouds.client{}")
        t.enter("client:call('m', {41})", r"\n42\n")
        t.enter("clouds.sleep(0.05) print('slept')", r"\nslept\n")

    def test_history(self):
        t = self.terminal()
        t.enter("'first' .. 'one'", r"\nfirstone\n")
        t.wait_for("> ")
        t.type("\x1b[A\n")
        t.wait_for(r"\nfirstone\n")

    def test_after_a_script(self):
        script = self.file("s.lua", "value = 17")
        t = self.terminal(script)
        t.enter("value", r"\n17\n")

    def test_after_a_script_that_failed(self):
        t = self.open(self.file("s.lua", "error('at first')"))
        t.wait_for("at first")
        t.wait_for("> ")
        t.enter("1", r"\n1\n")


class OnPipe(Case):
    def lines(self, text, *arguments):
        return self.run_clouds("run", "-i", *arguments, input=text)

    def test_lines(self):
        result = self.lines("x = 3\n=x\nfor i = 1, 2 do\nprint(i)\nend\nx + 1")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "3\n1\n2\n4\n", ""))

    def test_the_next_line_waits_for_the_one_before(self):
        result = self.lines("require('clouds').sleep(0.05) print('one')\nprint('two')\n")
        self.assertEqual(result.stdout, "one\ntwo\n")

    def test_an_end_inside_a_chunk(self):
        result = self.lines("for i = 1, 2 do\n")
        self.assertEqual(result.returncode, 0)
        self.assertIn("ends inside a chunk", result.stderr)

    def test_a_file(self):
        with open(self.file("input", "print('from a file')\n1+1\n")) as source:
            result = subprocess.run([CLOUDS, "run", "-i"], env=self.env, stdin=source, capture_output=True, text=True,
                                    timeout=BOUND)
        self.assertEqual(result.stdout, "from a file\n2\n")

    def test_nothing(self):
        self.assertEqual(self.lines("").returncode, 0)

    def test_a_line_without_end(self):
        result = self.lines("x" * (2 << 20))
        self.assertEqual(result.returncode, 0)
        self.assertIn("longer than", result.stderr)

    def test_many_lines(self):
        result = self.lines("".join(f"{i}\n" for i in range(5000)))
        self.assertEqual(result.stdout, "".join(f"{i}\n" for i in range(5000)))


if __name__ == "__main__":
    unittest.main()
