"""clouds completion, and the manual pages: every command and every option is there, and a shell completes them."""
import os
import re
import subprocess
import unittest

from support import CLOUDS, Case

SERVICE = """
    local server = require("clouds").server{ id = "s.one" }
    server:register("shop.add", function() end)
    server:register("shop.list", function() end)
    print("ready")
"""


class Completion(Case):
    def setUp(self):
        super().setUp()
        help_text = self.run_clouds("--help").stdout
        self.commands = re.findall(r"^  ([a-z]+) +\S", help_text.split("\ncommands\n")[1].split("\n'clouds")[0], re.M)
        self.assertIn("call", self.commands)

    def options(self, command):
        return re.findall(r"^ +(?:-\w, )?--([a-z-]+)", self.run_clouds(command, "--help").stdout, re.M)

    def complete(self, *words):
        """What bash offers for the last word."""
        code = ("source <(clouds completion bash)\nCOMP_WORDS=(\"$@\")\nCOMP_CWORD=$(($# - 1))\n_clouds\n"
                "printf '%s\\n' \"${COMPREPLY[@]}\"")
        path = os.path.dirname(os.path.abspath(CLOUDS)) + os.pathsep + self.env.get("PATH", "")
        result = subprocess.run(["bash", "-c", code, "bash", "clouds", *words], env={**self.env, "PATH": path}, cwd=self.folder,
                                capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout.split()

    def test_E11_every_command_and_option(self):
        folder = os.path.join(self.folder, "manual")
        os.mkdir(folder)
        self.assertEqual(self.run_clouds("manual", "--into", folder).returncode, 0)
        texts = {}
        for name in os.listdir(folder):
            with open(os.path.join(folder, name)) as file:
                texts[name] = file.read().replace("\\-", "-")
        for command in self.commands:
            for shell in ("clouds.bash", "_clouds", "clouds.fish", "clouds.1"):
                self.assertIn(command, texts[shell], shell)
            if command == "help":
                continue
            options = self.options(command)
            self.assertIn("help", options)
            for option in options:
                self.assertIn("--" + option, texts[f"clouds-{command}.1"])
                self.assertRegex(texts["clouds.bash"], rf"(?m)^    {command}\) options='.*--{option}\b")
                self.assertRegex(texts["_clouds"], rf"(?m)^    {command}\) options=\(.*'--{option}:")
                self.assertRegex(texts["clouds.fish"], rf"(?m)from {command}' -l {option}\b")
        self.assertEqual(self.run_clouds("manual", "call").stdout.replace("\\-", "-"), texts["clouds-call.1"])

    def test_bash(self):
        self.serve(SERVICE)
        self.assertEqual(self.complete("expl"), ["explain"])
        self.assertEqual(self.complete("--url", "local:", "doc"), ["doctor"])
        self.assertEqual(self.complete("call", "--dead"), ["--deadline"])
        self.assertEqual(self.complete("call", "shop."), ["shop.add", "shop.list"])
        self.assertEqual(self.complete("ping", ""), ["s.one"])
        self.assertEqual(self.complete("pause", ""), ["s.one"])
        self.assertEqual(self.complete("top", ""), [])

    def test_names_and_wrong_use(self):
        self.serve(SERVICE)
        self.assertEqual(self.run_clouds("completion", "nodes").stdout, "s.one\n")
        self.assertEqual(self.run_clouds("--url", "redis://127.0.0.1:1", "completion", "methods").stdout, "")
        result = self.run_clouds("completion", "csh")
        self.assertEqual((result.returncode, "expected bash, zsh or fish, got 'csh'" in result.stderr), (2, True))
        self.assertEqual(self.run_clouds("manual", "nothing").returncode, 2)


if __name__ == "__main__":
    unittest.main()
