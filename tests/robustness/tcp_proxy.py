"""A proxy before a TCP listener that can stall, swallow and cut what goes through it."""
import select
import socket
import threading


class Proxy:
    """`way` is what becomes of bytes: "forward", "stall" (nobody reads them) or "swallow" (they are read and go nowhere)."""

    def __init__(self, target_port):
        self.target_port, self.way = target_port, "forward"
        self.accepted, self.forwarded = 0, 0
        self._pairs, self._lock = [], threading.Lock()
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(1000)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                inside, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            outside = socket.socket()
            try:
                outside.connect(("127.0.0.1", self.target_port))
            except OSError:
                inside.close(), outside.close()
                continue
            with self._lock:
                self._pairs.append((inside, outside))
            for source, to in ((inside, outside), (outside, inside)):
                threading.Thread(target=self._carry, args=(source, to), daemon=True).start()

    def _carry(self, source, to):
        try:
            while True:
                if self.way == "stall":
                    threading.Event().wait(0.01)
                    continue
                if not select.select([source], [], [], 0.01)[0] or self.way == "stall":
                    continue
                data = source.recv(65536)
                if not data:
                    break
                if self.way == "forward":
                    to.sendall(data)
                    self.forwarded += len(data)
        except (OSError, ValueError):
            pass
        self._end(source, to)

    @staticmethod
    def _end(*sockets):
        for end in sockets:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """Ends all connections."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            self._end(*pair)

    def close(self):
        self._listener.close()
        with self._lock:
            pairs = list(self._pairs)
        self.cut()
        for pair in pairs:
            for end in pair:
                end.close()
