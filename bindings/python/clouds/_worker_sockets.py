"""Sockets of a worker: connections whose end it hears of, and listeners that its master can keep from accepting."""
import errno
import os
import select
import socket
import time
from typing import Any, Callable, Optional, Tuple


class Connection(socket.socket):
    """A socket that says when it is closed, detached, or collected."""

    _release: Optional[Callable[[], None]] = None

    def _is_gone(self) -> None:
        release, self._release = self._release, None
        if release is not None:
            release()

    def close(self) -> None:
        """As of any socket: what makefile() gave has to be closed, too."""
        super().close()
        if self.fileno() == -1:
            self._is_gone()

    def detach(self) -> int:
        fd = super().detach()
        self._is_gone()
        return fd

    def __del__(self) -> None:
        if self._release is not None:
            self.close()


class Listener(socket.socket):
    """A socket that listens, and that others have, too. What accept() gives is a connection that the worker may take now, and
    fileno() is a descriptor to wait for that by, for select, poll or epoll. Whoever takes the socket out of it, by detach() or
    dup(), accepts by itself."""

    _watch = -1

    def __init__(self, fd: int, watch: int, accept: Callable[[], Optional[Connection]], is_let_go: Callable[[], None]) -> None:
        super().__init__(fileno=fd)
        self._watch, self._accept_one, self._is_let_go = watch, accept, is_let_go
        self._longest: Optional[float] = 0.0

    def fileno(self) -> int:
        return self._watch

    def accept(self) -> Tuple[socket.socket, Any]:
        until = None if self._longest is None else time.monotonic() + self._longest
        while True:
            if self._watch < 0:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            sock = self._accept_one()
            if sock is not None:
                return sock, self._peer(sock)
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError("timed out") if self._longest else BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            waiting = select.poll()
            waiting.register(self._watch, select.POLLIN)
            waiting.poll(None if left is None else left * 1000)

    @staticmethod
    def _peer(sock: Connection) -> Any:
        try:
            sock.settimeout(socket.getdefaulttimeout())
            return sock.getpeername()
        except OSError:
            sock.close()
            raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED)) from None

    # The mode of a socket is one for all who have it: here it is that of accept() alone.

    def settimeout(self, value: Optional[float]) -> None:
        if value is not None and value < 0:
            raise ValueError("Timeout value out of range")
        self._longest = value

    def gettimeout(self) -> Optional[float]:
        return self._longest

    def setblocking(self, flag: bool) -> None:
        self._longest = None if flag else 0.0

    def getblocking(self) -> bool:
        return self._longest != 0.0

    def _unwatch(self) -> None:
        watch, self._watch = self._watch, -1
        if watch >= 0:
            os.close(watch)

    def close(self) -> None:
        self._unwatch()
        super().close()

    def detach(self) -> int:
        self._is_let_go()
        self._unwatch()
        return super().detach()

    def dup(self) -> socket.socket:  # type: ignore[override]
        self._is_let_go()
        return socket.socket(fileno=os.dup(super().fileno()))

    def __del__(self) -> None:
        self._unwatch()
