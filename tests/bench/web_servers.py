"""The servers that web.py compares: clouds, nginx and Node, each by itself or with workers below a master; and what their processes use."""
import os
import shutil
import socket
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
sys.dont_write_bytecode = True

from harness import Process, free_port, wait_until  # noqa: E402

BENCH = os.path.join(SOURCE, "tests", "bench")
NGINX = shutil.which("nginx", path="/usr/sbin:" + os.environ["PATH"])
NODE = shutil.which("node")
NGINX_CONF = """
daemon off; {processes}; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 2048; }}
http {{
    access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location = / {{ default_type text/plain; return 200 "Hello, world\\n"; }}
        location /files/ {{ alias {folder}/files/; }}
    }}
}}
"""


def answers(port):
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def processor_time(pid):
    """Seconds, of all its threads that are there."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="utf-8") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def memory(pid):
    """Its resident memory, and its share of what several have, in MB."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        sizes = dict(line.split(":", 1) for line in file if ":" in line)
    return [int(sizes[name].split()[0]) / 1024 for name in ("Rss", "Pss")]


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return [int(child) for child in file.read().split()]


class Server:
    """`workers`: so many below a master; 0: one process that serves by itself."""

    def __init__(self, options, folder, workers=0, dispatch="least"):
        self.port, self.workers = free_port(), workers
        self.process = Process(self.command(options, folder, dispatch), dict(os.environ, CLOUDS_RUNTIME_DIR=os.path.join(folder, "run")))
        wait_until(lambda: answers(self.port) and len(self.pids()) == 1 + workers, "it listens")

    def command(self, options, folder, dispatch):
        raise NotImplementedError

    def pids(self):
        """The master, and its workers."""
        return [self.process.pid, *children(self.process.pid)]

    def times(self):
        """Of each process the time that it has taken."""
        return {pid: processor_time(pid) for pid in self.pids()}

    def discard(self):
        for pid in self.pids()[1:]:
            os.kill(pid, 9)
        self.process.discard()


class Clouds(Server):
    name = "clouds"

    def command(self, options, folder, dispatch):
        program, where = os.path.join(options.build, "host", "clouds"), f"127.0.0.1:{self.port}"
        how = ["start", "--workers", str(self.workers), "--dispatch", dispatch] if self.workers else ["run"]
        return [program, *how, "--listen", where, os.path.join(BENCH, "web.lua"), os.path.join(folder, "files")]


class Nginx(Server):
    name = "nginx"

    def command(self, options, folder, dispatch):
        path = os.path.join(folder, "nginx.conf")
        processes = f"worker_processes {self.workers}" if self.workers else "master_process off"
        with open(path, "w", encoding="utf-8") as file:
            file.write(NGINX_CONF.format(folder=folder, port=self.port, processes=processes))
        return [NGINX, "-c", path, "-p", folder]


class Node(Server):
    name = "node"

    def command(self, options, folder, dispatch):
        return [NODE, os.path.join(BENCH, "web.js"), str(self.port), str(self.workers)]


def servers():
    """Those that are installed."""
    return [Clouds, *([Nginx] if NGINX else []), *([Node] if NODE else [])]
