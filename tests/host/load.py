"""Clients of HTTP, many in one thread, each with one request under way: what became of each request is counted."""
import collections
import errno
import heapq
import itertools
import random
import selectors
import socket
import threading
import time

from support import wait_until


class Client:
    def __init__(self):
        self.socket, self.is_new, self.out, self.data, self.number = None, True, b"", b"", 0


def answer_of(data):
    """The status, the body and the size of the answer that `data` begins with, and whether it is the last; or None."""
    head, found, _ = data.partition(b"\r\n\r\n")
    if not found:
        return None
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    size = len(head) + 4 + int(fields.get(b"content-length", 0))
    if len(data) < size:
        return None
    return int(data[9:12]), data[len(head) + 4:size], size, fields.get(b"connection") == b"close"


class Load:
    """keep: a connection has many requests, else one. think: the most seconds before the next request.

    request(number) gives the bytes of the request of that number, check(number, body) whether the answer is right.
    `count`: right answers. `failed`: what came instead of such. `connects`: connections that were made."""

    def __init__(self, case, port, clients, keep=True, think=0, request=None, check=None):
        close = "" if keep else "Connection: close\r\n"
        plain = f"GET / HTTP/1.1\r\nHost: a\r\n{close}\r\n".encode()
        self.case, self.address, self.keep, self.think = case, ("127.0.0.1", port), keep, think
        self.request, self.check = request or (lambda _: plain), check or (lambda _, body: True)
        self.count, self.connects, self.failed = 0, 0, collections.Counter()
        self.numbers, self.due, self.waiting = itertools.count(1), [], clients
        self.selector, self.stopping, self.problem = selectors.DefaultSelector(), False, None
        for i in range(clients):
            heapq.heappush(self.due, (0, i, Client()))
        self.order = itertools.count(clients)
        self.thread = threading.Thread(target=self.guarded, daemon=True)
        self.thread.start()
        case.addCleanup(self.stop)

    # ---- in its thread

    def guarded(self):
        try:
            self.run()
        except Exception as problem:  # told by finish()
            self.problem = problem

    def run(self):
        while True:
            now = time.monotonic()
            while self.due and (self.due[0][0] <= now or self.stopping):
                client = heapq.heappop(self.due)[2]
                if self.stopping:
                    self.leave(client)
                else:
                    self.begin(client)
            if self.stopping and not self.selector.get_map():
                return
            for key, events in self.selector.select(min(0.05, self.due[0][0] - now) if self.due else 0.05):
                self.go_on(key.data, events)

    def begin(self, client):
        client.number = next(self.numbers)
        client.out = self.request(client.number)
        if client.socket is None:
            client.socket, client.is_new, client.data = socket.socket(), True, b""
            client.socket.setblocking(False)
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connects += 1
            code = client.socket.connect_ex(self.address)
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, "connect")
        self.selector.register(client.socket, selectors.EVENT_WRITE, client)
        if not client.is_new:
            self.go_on(client, selectors.EVENT_WRITE)

    def go_on(self, client, events):
        try:
            if events & selectors.EVENT_WRITE:
                self.write(client)
            else:
                self.read(client)
        except BlockingIOError:
            pass
        except OSError as problem:
            self.lost(client, type(problem).__name__)

    def write(self, client):
        client.out = client.out[client.socket.send(client.out):]
        client.is_new = False
        if not client.out:
            self.selector.modify(client.socket, selectors.EVENT_READ, client)

    def read(self, client):
        piece = client.socket.recv(65536)
        if not piece:
            return self.lost(client, "it was closed " + ("within the answer" if client.data else "without an answer"))
        client.data += piece
        answer = answer_of(client.data)
        if not answer:
            return None
        status, body, size, is_last = answer
        client.data = client.data[size:]
        self.selector.unregister(client.socket)
        if status == 200 and self.check(client.number, body) and not client.data:
            self.count += 1
        else:
            self.failed[f"{status} {body[:50]}"] += 1
        if is_last or not self.keep:
            self.leave(client)
        return self.later(client)

    def lost(self, client, why):
        self.failed[why] += 1
        self.selector.unregister(client.socket)
        self.leave(client)
        self.later(client)

    def leave(self, client):
        if client.socket:
            client.socket.close()
        client.socket = None

    def later(self, client):
        seconds = random.uniform(0, self.think) if self.think else 0
        heapq.heappush(self.due, (time.monotonic() + seconds, next(self.order), client))

    # ---- for the test

    def goes_on(self, more):
        """Waits until so many more requests have been answered."""
        begin, bad = self.count, sum(self.failed.values())
        wait_until(lambda: self.count >= begin + more or sum(self.failed.values()) > bad or self.problem,
                   f"{more} more requests are answered", bound=600)

    def stop(self):
        """What is under way is answered, and then no more is asked."""
        self.stopping = True
        self.thread.join(120)
        self.case.assertFalse(self.thread.is_alive(), "a request is not answered")
        if self.problem:
            raise self.problem
