"""A proxy before a redis-server that can move Redis' clock, cut connections, and lead to another server from now on."""
import os
import re
import socket
import threading

TIME = re.compile(rb"\*2\r\n\$10\r\n(\d{10})\r\n\$(\d)\r\n(\d+)\r\n")
LONGEST = 48  # bytes of an answer to TIME


class Proxy:
    """Listens at a unix socket of its own; `target` is where new connections lead, `shift` is added to every answer to TIME."""

    def __init__(self, path, target):
        self.path, self.target, self.shift = path, target, 0
        self._lock, self._carriers = threading.Lock(), {}  # pair of sockets: threads that still carry
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(256)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                inside, _ = self._listener.accept()
            except OSError:
                return
            outside = socket.socket(socket.AF_UNIX)
            try:
                outside.connect(self.target)
            except OSError:
                inside.close(), outside.close()
                continue
            with self._lock:
                self._carriers[inside, outside] = 2
            for source, to, change in ((inside, outside, None), (outside, inside, self._moved)):
                threading.Thread(target=self._carry, args=((inside, outside), source, to, change), daemon=True).start()

    def _moved(self, data):
        return TIME.sub(lambda m: b"*2\r\n$10\r\n%d\r\n$%s\r\n%s\r\n" % (int(m[1]) + self.shift, m[2], m[3]), data)

    def _carry(self, pair, source, to, change):
        held = b""
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                if change:
                    data, held = held + data, b""
                    begin = data.rfind(b"*2\r\n", max(0, len(data) - LONGEST))
                    if begin >= 0 and not TIME.match(data, begin) and not data.endswith(b"\r\n"):
                        data, held = data[:begin], data[begin:]  # the rest of it comes with the next piece
                    data = change(data)
                to.sendall(data)
        except OSError:
            pass
        with self._lock:
            self._shut(pair)  # ends the other direction
            self._carriers[pair] -= 1
            if self._carriers[pair] == 0:
                del self._carriers[pair]
                for end in pair:
                    end.close()

    @staticmethod
    def _shut(pair):
        for end in pair:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """Ends all connections."""
        with self._lock:
            for pair in self._carriers:
                self._shut(pair)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        os.unlink(self.path)
