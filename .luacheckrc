-- Run as: luacheck lua host tests examples
std = "luajit"
max_line_length = 120
self = false
-- Functions that fill a fixed shape (a handler, a hook) need not use all they get.
unused_args = false
codes = true
exclude_files = { "build/**", "**/node_modules/**" }

-- Scripts that the host runs get their arguments in `arg`.
files["tests/lua/**"] = { globals = { "arg" } }
files["examples/**"] = { globals = { "arg" } }
files["host/cli/**"] = { globals = { "arg" } }
