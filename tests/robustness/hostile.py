"""A server that speaks Redis badly: each connection gets the next of a list of behaviours.

A behaviour is a function of a Connection; it may answer some commands as Redis would and then does its harm. When it returns, the
connection is closed.
"""
import os
import random
import socket
import threading

LIMIT = 60 * 1000 * 1000  # bytes that an endless behaviour sends at most, far beyond every limit of ours


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.file = sock.makefile("rb")

    def command(self):
        """The next command, a list of words; None at the end."""
        head = self.file.readline()
        if not head.startswith(b"*"):
            return None
        return [self.file.read(int(self.file.readline()[1:]) + 2)[:-2] for _ in range(int(head[1:]))]

    def send(self, data):
        self.sock.sendall(data)

    def answer(self, words):
        """What Redis would say to a command, as far as a client needs it to come up."""
        name = words[0].upper()
        if name == b"SUBSCRIBE":
            for number, channel in enumerate(words[1:], 1):
                self.send(b"*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:%d\r\n" % (len(channel), channel, number))
        elif name == b"TIME":
            self.send(b"*2\r\n$10\r\n1700000000\r\n$6\r\n000000\r\n")
        elif name in (b"SMEMBERS", b"KEYS"):
            self.send(b"*0\r\n")
        elif name == b"SCAN":
            self.send(b"*2\r\n$1\r\n0\r\n*0\r\n")
        elif name == b"MGET":
            self.send(b"*%d\r\n" % (len(words) - 1) + b"$-1\r\n" * (len(words) - 1))
        elif name in (b"PUBLISH", b"EXPIRE", b"DEL", b"SADD", b"SREM"):
            self.send(b":0\r\n")
        else:
            self.send(b"+OK\r\n")

    def serve(self, commands):
        """Behaves for that many commands; False when the client left."""
        for _ in range(commands):
            words = self.command()
            if words is None:
                return False
            self.answer(words)
        return True


class Hostile:
    """Listens at a path. `behaviours` are used in turn; `served` counts those that are done."""

    def __init__(self, path, behaviours):
        self.path, self.behaviours, self.served = path, behaviours, 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self._lock = threading.Lock()
        self._next = 0
        self._open = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with self._lock:
            behaviour = self.behaviours[self._next % len(self.behaviours)]
            self._next += 1
            self._open.add(sock)
        with sock:
            sock.settimeout(20)
            try:
                behaviour(Connection(sock))
            except (OSError, ValueError):
                pass  # the client left
            with self._lock:
                self.served += 1
                self._open.remove(sock)

    def close(self):
        # Frees the path, so that a real server can take it; the thread sees the listener end.
        os.unlink(self.path)
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self._lock:
            for sock in self._open:
                sock.shutdown(socket.SHUT_RDWR)


def says(data, after=0):
    """Sends bytes in place of the answer to a command, having answered `after` commands, and listens on for a moment."""
    def behaviour(connection):
        if not connection.serve(after) or connection.command() is None:
            return
        connection.send(data)
        connection.sock.settimeout(0.2)
        while connection.command() is not None:
            connection.send(data)
    return behaviour


def endless(piece, head=b""):
    def behaviour(connection):
        connection.command()
        connection.send(head)
        for _ in range(LIMIT // len(piece)):
            connection.send(piece)
    return behaviour


def dribbles(connection):
    """A right answer, but a byte at a time, and then no end to it."""
    connection.command()
    for byte in b"*3\r\n$7\r\nmessage\r\n$5\r\nabcde\r\n$2000000\r\n" + b"x" * 50:
        connection.send(bytes([byte]))


def chance(seed):
    data = random.Random(seed).randbytes(4000)
    return says(data, seed % 4)


def cut(data, at):
    """Part of an answer, then the end."""
    def behaviour(connection):
        connection.serve(1)
        connection.command()
        connection.send(data[:at])
    return behaviour


SUBSCRIBED = b"*3\r\n$9\r\nsubscribe\r\n$8\r\nclouds:D\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$8\r\nclouds:D\r\n$4\r\nnull\r\n"

PAYLOADS = [b"", b"null", b"{}", b"[]", b"5", b'{"t":"c"}', b'{"t":"c","s":"x","d":null}', b'{"t":"r","s":"x","d":{"i":"a"}}',
            b'{"t":"u","s":"x","d":{"m":"no list"}}', b'{"t":"u","s":5,"d":{"m":[1,null,{}]}}', b'{"t":"w","d":[]}', b"[" * 100000,
            b'{"t":"c","s":"\xff\xfe","d":{"i":"a","m":"\xff","a":[]}}', b"\x00" * 100, b'{"t":"m","s":"a","d":"' + b"y" * 5000000 + b'"}']


def pushed(payload, channel):
    return b"*3\r\n$7\r\nmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(channel), channel, len(payload), payload)


def pushes(connection):
    """Confirms what is subscribed, and sends nonsense as messages to it."""
    while True:
        words = connection.command()
        if words is None:
            return
        connection.answer(words)
        if words[0].upper() == b"SUBSCRIBE":
            for channel in words[1:]:
                for payload in PAYLOADS:
                    connection.send(pushed(payload, channel))
            connection.sock.settimeout(0.5)


WORDS = [b"", b"\r\n", b"\n", b"\0", b"+", b"-\r\n", b":\r\n", b"$\r\n", b"*\r\n", b"hello\r\n", b"HTTP/1.1 200 OK\r\n\r\n",
         b"-ERR no\r\n", b"-LOADING Redis is loading\r\n", b"-READONLY You can't write against a read only replica.\r\n",
         b"-MOVED 3999 127.0.0.1:6381\r\n", b"-NOAUTH Authentication required.\r\n", b"-OOM command not allowed\r\n",
         b"-" + b"\x1b[31m" * 20 + b"\r\n", b":1\r\n", b":99999999999999999999999\r\n", b"$-1\r\n", b"$-2\r\n",
         b"$99999999999999\r\n", b"$2147483647\r\nabc", b"*-1\r\n", b"*0\r\n", b"*2147483647\r\n", b"*1000000000\r\n$1\r\na\r\n",
         b"*1\r\n" * 10000, b"*3\r\n" * 2000, b"*3\r\n:1\r\n:2\r\n:3\r\n", b"*3\r\n$7\r\nmessage\r\n$-1\r\n$-1\r\n",
         b"*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n$1\r\ny\r\n", b"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", b"+OK\r\n" * 1000, SUBSCRIBED]

BEHAVIOURS = ([says(word) for word in WORDS] + [says(word, 2) for word in WORDS]
              + [endless(b"x" * 65536), endless(b"y" * 65536, b"+"), endless(b"z" * 65536, b"$1000000000\r\n"),
                 endless(b"*1\r\n" * 16384), endless(b"$1\r\na\r\n" * 8192, b"*1000000000\r\n"), endless(b"+OK\r\n" * 10000)]
              + [chance(seed) for seed in range(40)] + [cut(SUBSCRIBED, at) for at in range(len(SUBSCRIBED))]
              + [dribbles, lambda connection: None, pushes, pushes, pushes])
