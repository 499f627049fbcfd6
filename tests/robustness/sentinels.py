"""A master, a replica and sentinels of a test's own, on free ports."""
import os
import socket
import ssl

import support  # noqa: F401 (makes the harness importable)
from harness import BOUND, Redis, free_port, read_answer, redis_command, wait_until

NAME = "my-master"


class Server(Redis):
    """One redis-server over TCP, a sentinel or not; over TLS with the words of `tls`, which the authority in `ca` vouches for."""

    def __init__(self, folder, password, *options, config=None, tls=(), ca=None):
        self.port, self.password = free_port(), password
        self._trust = ssl.create_default_context(cafile=ca) if ca else None
        os.makedirs(folder)
        words = ["redis-server"]
        if config is not None:
            path = os.path.join(folder, "sentinel.conf")
            with open(path, "w") as out:
                out.write(config)
            words += [path, "--sentinel"]
        else:
            words += ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]
        place = ["--port", "0", "--tls-port", str(self.port), *tls] if ca else ["--port", str(self.port)]
        self._arguments = [*words, *place, "--dir", folder, "--logfile", os.path.join(folder, "log"), *options]
        self._popen = None
        self.start()

    def _connect(self):
        plain = socket.create_connection(("127.0.0.1", self.port), BOUND)
        return self._trust.wrap_socket(plain, server_hostname="127.0.0.1") if self._trust else plain

    def command(self, *words):
        with self._connect() as connection:
            with connection.makefile("rb") as answer:
                if self.password:
                    connection.sendall(redis_command("AUTH", self.password))
                    read_answer(answer)
                connection.sendall(redis_command(*words))
                return read_answer(answer)

    def clients(self):
        """How many connections of clouds it has."""
        return self.command("CLIENT", "LIST").count(b"name=clouds")


class Sentinels:
    """`count` sentinels of a master with one replica, with the password of Redis or an own one, and further lines of theirs. All
    of it over TLS if an authority is given."""

    def __init__(self, case, count=1, password="", own="", lines="", authority=None):
        self._scheme = "rediss" if authority else "redis"
        over = {}
        if authority:
            cert, key = authority.issue("127.0.0.1")
            over = {"ca": authority.file, "tls": ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", authority.file,
                                                  "--tls-replication", "yes", "--tls-auth-clients", "no"]}
        folder, self.password = os.path.join(case.folder, "sentinels"), password
        secret = ["--requirepass", password, "--masterauth", password] if password else []

        def server(name, *options, config=None):
            made = Server(os.path.join(folder, name), own or password if config else password, *options, config=config, **over)
            case.addCleanup(made.stop)
            return made

        self.servers = [server("a", *secret)]
        self.servers.append(server("b", *secret, "--replicaof", "127.0.0.1", str(self.servers[0].port)))
        config = f"sentinel monitor {NAME} 127.0.0.1 {self.servers[0].port} {(count + 1) // 2}\n" \
                 f"sentinel down-after-milliseconds {NAME} 500\nsentinel failover-timeout {NAME} 3000\n"
        if password:
            config += f"sentinel auth-pass {NAME} {password}\n"
        if own or password:
            config += f"requirepass {own or password}\nsentinel sentinel-pass {own or password}\n"
        config += lines
        self.sentinels = [server(f"s{i}", config=config) for i in range(count)]
        for sentinel in self.sentinels:
            wait_until(lambda sentinel=sentinel: self._knows(sentinel, count), "the sentinel knows all")

    @staticmethod
    def _knows(sentinel, count):
        rows = sentinel.command("SENTINEL", "master", NAME)
        facts = dict(zip(rows[::2], rows[1::2]))
        return facts[b"num-slaves"] == b"1" and facts[b"num-other-sentinels"] == b"%d" % (count - 1) and \
            b"s_down" not in facts[b"flags"] and len(sentinel.command("SENTINEL", "replicas", NAME)) == 1

    def url(self, *before, name=NAME, rest=""):
        """The address, with further ports first."""
        user = f":{self.password}@" if self.password else ""
        hosts = ",".join(f"127.0.0.1:{port}" for port in [*before, *(one.port for one in self.sentinels)])
        return f"{self._scheme}+sentinel://{user}{hosts}/{name}{rest}"

    def master(self, sentinel=-1):
        port = int(self.sentinels[sentinel].command("SENTINEL", "get-master-addr-by-name", NAME)[1])
        return next(server for server in self.servers if server.port == port)

    def fail_over(self, sentinel=-1):
        """Asks for it; the new master."""
        before = self.master(sentinel)

        def is_begun():
            try:
                return self.sentinels[sentinel].command("SENTINEL", "FAILOVER", NAME) == b"OK"
            except RuntimeError:  # no good replica yet
                return False
        wait_until(is_begun, "the failover begins")
        wait_until(lambda: self.master(sentinel) is not before, "the master is another")
        return self.master(sentinel)
