#!/bin/sh
# Runs every example as a reader would, and looks at what it prints.
set -eu
tmp=$(mktemp -d)
chmod 700 "$tmp"
server=
rooms=
hello=
cleanup() {
    [ -z "$server$rooms$hello" ] || kill $server $rooms $hello 2>/dev/null || true
    rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
export CLOUDS_RUNTIME_DIR="$tmp"
unset CLOUDS_URL
cd "$CLOUDS_SOURCE/examples/lua"

fail() {
    echo "# $1"
    sed 's/^/# /' "$tmp/out"
    exit 1
}

# run NAME EXPECTED-LINE... : the example ends by itself and prints these.
run() {
    name=$1
    shift
    "$CLOUDS_BIN" run "$name.lua" >"$tmp/out" 2>&1 || fail "$name ended with an error"
    for line in "$@"; do
        grep -qF "$line" "$tmp/out" || fail "$name did not print: $line"
    done
    echo "ok - $name"
}

# start NAME LINE: the example runs on, once it has printed the line.
start() {
    : >"$tmp/server"
    "$CLOUDS_BIN" run "$@" >"$tmp/server" 2>&1 &
    server=$!
    tries=0
    until [ -s "$tmp/server" ]; do
        tries=$((tries + 1))
        [ $tries -lt 1200 ] || { cp "$tmp/server" "$tmp/out"; fail "$1 did not start"; }
        sleep 0.05
    done
}

stop() {
    kill -TERM "$server"
    wait "$server" || fail "the server did not stop in order"
    server=
}

start hello_server.lua
run hello_client "Hello Glen, it is"
run monitor "test.hello"
stop
! "$CLOUDS_BIN" run hello_client.lua >"$tmp/out" 2>&1 || fail "hello_client succeeded alone"
grep -qF "no hello: CLOUDS_NO_AVAILABLE_SERVER" "$tmp/out" || fail "hello_client does not say why"
run monitor "nobody serves anything"
run chain "tea:	4" "cake:	6.6" "coffee:	E_ARTICLE	no such article: coffee"
run later "Ann wins with" "E_LOST: Bob loses" "Cid wins with" "E_LOST: Dan loses"
run broker "left	news	it works" "right	news	it works" "reached	2" "reached	0"
run choose "ann has tea on server" "bob has tea on server"
test "$(grep -c . "$tmp/out")" = 4 && test "$(sort -u "$tmp/out" | grep -c .)" = 2 || fail "choose does not stick"
start gateway.lua 0
port=$(sed 's/.* //' "$tmp/server")
python3 - "$port" >"$tmp/out" <<'PYTHON' || fail "the gateway does not answer"
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60) as s:
    s.sendall(b'nobody.there [1]\nx {\n')
    data = b""
    while data.count(b"\n") < 2:
        data += s.recv(4096)
print(data.decode())
assert b"CLOUDS_NO_AVAILABLE_SERVER" in data and b"unexpected end" in data
PYTHON
echo "ok - gateway"
stop

start hello_server.lua
hello=$server
"$CLOUDS_BIN" run --listen "unix:$tmp/web.sock" web.lua >"$tmp/out" 2>&1 &
server=$!
python3 - "$tmp/web.sock" >"$tmp/out" 2>&1 <<'PYTHON' || fail "the web server does not work"
import http.client, json, os, socket, sys, time
class Web(http.client.HTTPConnection):
    def connect(self):
        end = time.monotonic() + 60
        while True:
            self.sock = socket.socket(socket.AF_UNIX)
            try:
                return self.sock.connect(sys.argv[1])
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.05)
def ask(method, path, body=None, kind="application/json"):
    web = Web("localhost")
    web.request(method, path, body, {"Content-Type": kind})
    answer = web.getresponse()
    return answer.status, answer.read().decode()
assert "It works" in ask("GET", "/")[1]
status, text = ask("GET", "/hello/Glen?msg=hey")
assert status == 200 and "Glen" in text, text
assert ask("POST", "/sum", "[1,2,3]") == (200, '{"sum":6}')
assert ask("POST", "/sum", '["x"]')[0] == 400
assert ask("GET", "/ticks?count=3") == (200, "1\n2\n3\n")
assert ask("PUT", "/upload", b"x" * 1000000) == (201, '{"bytes":1000000}')
PYTHON
echo "ok - web"
stop
server=$hello
stop

for room in lobby attic; do
    start chat.lua room $room
    rooms="$rooms $server"
done
start chat.lua gateway 0
port=$(sed 's/.*port //; s/ .*//' "$tmp/server")
python3 - "$port" >"$tmp/out" 2>&1 <<'PYTHON' || fail "the chat does not work"
import socket, sys
def person(words):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60)
    s.sendall(words)
    return s, s.makefile()
def expect(of, *lines):
    for line in lines:
        said = of[1].readline()
        assert said == line + "\n", (said, line)
ann = person(b"ann lobby\n")
expect(ann, "* ann joined")
bob = person(b"bob lobby\n")
expect(bob, "* bob joined")
expect(ann, "* bob joined")
cid = person(b"what\ncid attic\n")
expect(cid, "* NAME ROOM", "* cid joined")
bob[0].sendall(b"hello\n\nagain\n")
expect(ann, "bob: hello", "bob: again")
cid[0].sendall(b"alone\n")
expect(cid, "cid: alone")
nobody = person(b"dan cellar\n")
assert "cellar" in nobody[1].readline()
PYTHON
echo "ok - chat"
stop
kill -TERM $rooms
for room in $rooms; do wait "$room" || fail "a room did not stop in order"; done
rooms=
