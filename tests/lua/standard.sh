#!/bin/sh
# The standard for luacheck, as a user loads it: a script of the host is clean, and a mistake in it is found.
set -eu
luacheck=$1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
cat >.luacheckrc <<EOF
stds.clouds = dofile("$CLOUDS_SOURCE/lua/meta/luacheck.lua")
std = "luajit+clouds"
EOF
cat >good.lua <<'EOF'
local clouds = require "clouds"
arg = { [0] = "other.lua", arg[1] or "test.hello" }
print(clouds.client():call(arg[1], { "Glen", "hi" }))
EOF
cat >bad.lua <<'EOF'
print(cluods.client(), arg[1])
EOF
"$luacheck" --no-color good.lua
! "$luacheck" --no-color bad.lua >out || { cat out; echo "the mistake is not found"; exit 1; }
grep -q "accessing undefined variable .*cluods" out || { cat out; exit 1; }
test "$(grep -c 'bad.lua:' out)" = 1 || { cat out; exit 1; }
! "$luacheck" --no-color --std luajit good.lua >out || { echo "the standard is not needed"; exit 1; }
echo ok
