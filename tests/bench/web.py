#!/usr/bin/env python3
"""The processor time of a request over HTTP, beside nginx and Node's own server, one process each.

Usage: web.py [--build DIR] [--requests N] [--connections N] [--check | --smoke]

What counts is the processor time of the server for each request (user and system, by /proc), not the rate: the client takes part of
the machine. --check ends with 1 when a target is missed: 1.2 of nginx, 0.5 of Node. What is not installed is left out.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
sys.dont_write_bytecode = True

from harness import Process, free_port, wait_until  # noqa: E402
import socket  # noqa: E402

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
    access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port};
        location = / {{ default_type text/plain; return 200 "Hello, world\\n"; }}
        location /files/ {{ alias {files}/; }}
    }}
}}
"""
PAGES = (("/", "a text of 13 bytes"), ("/files/small.txt", "a file of 1 kB"), ("/files/large.bin", "a file of 60 kB"), ("/users/7", "a part of the path, as JSON"))


def answers(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def start_clouds(options, folder, port):
    return Process([os.path.join(options.build, "host", "clouds"), "run", "--listen", f"127.0.0.1:{port}",
                    os.path.join(SOURCE, "tests/bench/web.lua"), os.path.join(folder, "files")], dict(os.environ))


def start_nginx(options, folder, port):
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write(NGINX.format(folder=folder, port=port, files=os.path.join(folder, "files")))
    return Process([shutil.which("nginx", path="/usr/sbin:" + os.environ["PATH"]), "-c", path, "-p", folder], dict(os.environ))


def start_node(options, folder, port):
    return Process(["node", os.path.join(SOURCE, "tests/bench/web.js"), str(port)], dict(os.environ))


def processor_time(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(options, port, requests, path):
    out = subprocess.run([os.path.join(options.build, "tests", "bench", "http_load"), str(port), str(options.connections), str(requests), path],
                         stdout=subprocess.PIPE, check=True, timeout=300)
    said = json.loads(out.stdout)
    if said["bad"] or said["good"] != requests:
        sys.exit(f"{path}: {said['good']} of {requests} answers are right")
    return said["seconds"]


def measure(options, folder, start, path):
    """Microseconds of processor time for a request, and requests a second."""
    port = free_port()
    server = start(options, folder, port)
    try:
        wait_until(lambda: answers(port), "it listens")
        load(options, port, max(options.connections, options.requests // 10), path)
        before = processor_time(server.pid)
        seconds = load(options, port, options.requests, path)
        return (processor_time(server.pid) - before) * 1e6 / options.requests, options.requests / seconds
    finally:
        server.discard()


def servers():
    yield "clouds", start_clouds
    if shutil.which("nginx", path="/usr/sbin:" + os.environ["PATH"]):
        yield "nginx", start_nginx
    if shutil.which("node"):
        yield "node", start_node


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default=os.environ.get("CLOUDS_BUILD_DIR", os.path.join(SOURCE, "build", "release")))
    parser.add_argument("--requests", type=int, default=100000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--smoke", action="store_true")
    options = parser.parse_args()
    if options.smoke:
        options.requests = 500
    folder, missed = tempfile.mkdtemp(prefix="clouds-http-"), []
    try:
        os.mkdir(os.path.join(folder, "files"))
        for name, size in (("small.txt", 1000), ("large.bin", 60000)):
            with open(os.path.join(folder, "files", name), "wb") as file:
                file.write(b"x" * size)
        for path, words in PAGES:
            took = {}
            for name, start in servers():
                if (name == "node" and path.startswith("/files")) or (name == "nginx" and path.startswith("/users")):
                    continue
                took[name], rate = measure(options, folder, start, path)
                print(f"{words:28} {name:7} {took[name]:7.1f} us a request {rate:9.0f} a second", flush=True)
            for other, most in (("nginx", 1.2), ("node", 0.5)):
                if took.get(other) and took["clouds"] > most * took[other]:
                    missed.append(f"{words}: {took['clouds'] / took[other]:.2f} of {other}, at most {most}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not options.smoke:
        print("\n".join(missed) or "no target is missed")
    return 1 if options.check and missed else 0


sys.exit(main())
