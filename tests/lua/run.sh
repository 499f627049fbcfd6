#!/bin/sh
# Runs one Lua test: run.sh host|plain BUS SCRIPT. BUS is inproc, local or redis; each run has its own of it.
set -eu
how=$1 bus=$2 script=$3
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
redis=
cleanup() {
    [ -z "$redis" ] || kill "$redis" 2>/dev/null || true
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

export CLOUDS_RUNTIME_DIR="$tmp"
chmod 700 "$tmp"
case $bus in
redis)
    redis-server --port 0 --unixsocket "$tmp/redis.sock" --save '' --appendonly no --dir "$tmp" >/dev/null &
    redis=$!
    tries=0
    until redis-cli -s "$tmp/redis.sock" ping >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 1200 ] || { echo "redis-server does not answer" >&2; exit 1; }
        sleep 0.05
    done
    CLOUDS_TEST_URL="redis+unix://$tmp/redis.sock"
    ;;
*) CLOUDS_TEST_URL="$bus:test" ;;
esac
export CLOUDS_TEST_URL
export LUA_PATH="$here/?.lua;$CLOUDS_SOURCE/lua/?.lua;$CLOUDS_SOURCE/lua/?/init.lua;;"
cd "$here"
grep -qx 't.done()' "$script.lua" || { echo "$script.lua does not end with t.done(), so that nobody hears of what fails" >&2; exit 1; }
if [ "$how" = host ]; then
    "$CLOUDS_BIN" run "$script.lua"
else
    export LUA_CPATH="$CLOUDS_BUILD_DIR/lua/?.so;;"
    luajit "$script.lua"
fi
