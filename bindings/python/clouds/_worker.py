"""This process as a worker of `clouds start`: what the master tells it, and what it tells the master.

A thread waits for what the master tells. Where the program is in asyncio its loops answer for it, since a loop that does
not come to its turn is what hangs.
"""
import atexit
import ctypes
import functools
import math
import os
import signal
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Set, Tuple, TypeVar, overload

from clouds import _abi
from clouds._error import Error
from clouds._faults import escaped, ignore, log, log_failure
from clouds._handle import nodes
from clouds._library import lib
from clouds._threads import SimpleQueue
from clouds._values import decode, encode
from clouds._worker_connections import Connections, Port, Taker, Transaction, check
from clouds._worker_turns import Repeated, Repetitions, Turn, Turns
from clouds.errors import InvalidArgument

if TYPE_CHECKING:
    import socket
    from asyncio import AbstractEventLoop as _Loop
    from clouds._node import NodeBase

_Listener = Callable[..., Any]
_F = TypeVar("_F", bound=_Listener)

_EVENTS = ("drain", "stop", "message")
_USUAL_DRAIN = 8.0
_MARGIN = 1.0    # seconds beyond the drain that the end of the process may take
_LOOK = 1.0      # seconds after which a loop that has not answered may be one that has ended
_VARIABLES = 1.0  # seconds between two times that variables are told
_AGAIN = 0.05    # seconds until a signal is sent again
_ONE_SIGNAL = 1.0  # seconds; the kernel sends one for each thread of a master that is killed


def _of_environment(name: str, otherwise: int) -> int:
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() else otherwise


def _start(name: str, target: Callable[..., None], *arguments: Any) -> None:
    """A thread that the end of the interpreter does not wait for."""
    threading.Thread(target=target, args=arguments, name=name, daemon=True).start()


def _where_it_lives(node: "NodeBase", fn: Callable[[], Any]) -> None:
    """Runs a function where this node may be used. What has no loop yet, or no longer, does nothing."""
    if node._mode == "thread":
        fn()
        return
    loop: "Optional[_Loop]" = getattr(node, "_loop", None)
    try:
        if loop is not None:
            loop.call_soon_threadsafe(fn)
    except RuntimeError:
        pass  # it was closed


def _pause(node: "NodeBase", yes: bool, method: Optional[str]) -> None:
    node._begin_pause(method, yes, None).add_done_callback(ignore)


async def _awaited(fn: _Listener, arguments: Tuple[Any, ...]) -> None:
    result = fn(*arguments)
    if hasattr(result, "__await__"):
        await result


def _exits_already() -> bool:
    """The main thread has come to its end, and Python waits for no other: an exception would be written, and change nothing."""
    main = threading.main_thread()
    return not main.is_alive() and all(thread.daemon or thread is main for thread in threading.enumerate())


class Worker:
    """This process below the master of `clouds start`. In any other process `solo` is true, and nothing is ever told."""

    def __init__(self) -> None:
        self.solo = True
        self.index = _of_environment("CLOUDS_WORKER", 1)
        self.count = _of_environment("CLOUDS_WORKERS", 1)
        self.generation = _of_environment("CLOUDS_GENERATION", 1)
        self.group = os.environ.get("CLOUDS_GROUP", "")
        self.app = os.environ.get("CLOUDS_APP", "")
        self.draining = False
        self._lock = threading.RLock()
        self._told_ready = False
        self._over = threading.Event()  # it has drained, and the listeners have been told
        self._ending = self._exiting = False  # the main thread has had SystemExit; the interpreter ends
        self._signaled_at = 0.0
        self._seconds = _USUAL_DRAIN  # of a drain that nobody said how long of
        self._listeners: Dict[str, List[Tuple[_Listener, "Optional[_Loop]"]]] = {name: [] for name in _EVENTS}
        self._loops: "weakref.WeakSet[_Loop]" = weakref.WeakSet()  # of programs that use this without a node
        self._running: "weakref.WeakSet[NodeBase]" = weakref.WeakSet()  # whose run() the main thread is in
        self._unready: "Set[NodeBase]" = set()
        self._asked: "Optional[Set[_Loop]]" = None  # loops that have not answered yet
        self._messages: Any = SimpleQueue()
        self._connections, self._repetitions, self._turns = Connections(), Repetitions(), Turns(self._tell)
        self._variables: Dict[str, Any] = {}
        self._tells_variables, self._told_variables_at = False, 0.0

    # ---- what programs use

    def ready(self, taker: Optional[Taker] = None) -> None:
        """Says that this worker serves, and who takes its connections: ``taker(socket, port)`` is called for each, in a thread of its
        own, and the socket is closed when it returns. Given in an event loop, it is called there, may be async, and gets a socket that
        does not block. run() of a node says that it serves when what was registered is."""
        loop = self._note_loop()
        if taker is not None:
            self._connections.be_taken_by(taker, loop)
        self._say_ready()

    def listeners(self) -> "List[socket.socket]":
        """Says that this worker accepts its connections itself, and serves, and gives what it accepts from, in the order of `ports`,
        once the master lets it. They listen, and accept() of them gives what may be accepted now; who takes the descriptor instead,
        by detach(), accepts by itself. For a group with ``dispatch = "shared"``. Not under `clouds start` there are none."""
        if self._note_loop() is not None:
            raise RuntimeError("this would block the event loop: await asyncio.to_thread(clouds.worker.listeners)")
        return self._connections.listeners(self._say_ready)

    @property
    def ports(self) -> List[Port]:
        """Where its connections come from: ports, and "unix:PATH"."""
        return self._connections.ports()

    def transact(self) -> Transaction:
        """One more thing is under way, until release(), or the end of ``with worker.transact():``. From the first on this counts, and
        no longer open connections, for who gets the next connection, and for the end, which waits until nothing is under way."""
        return self._connections.transact()

    def release(self, remain: Optional[int] = None) -> None:
        """One thing less is under way; or there are `remain`."""
        self._connections.release(remain)

    def serial(self) -> Turn:
        """``with worker.serial():``, or ``async with``, runs what is in it while no other worker of the group runs such a thing."""
        return Turn(self._turns, self._note_loop)

    def every(self, seconds: float, fn: Callable[[], Any]) -> Repeated:
        """Calls fn every so many seconds, in a thread, and not again before that has ended, until nobody is served any more; what it
        gives has stop(). In an event loop it is called there, and may be async."""
        return self._repetitions.begin(seconds, fn, self._note_loop())

    @overload
    def on(self, event: str) -> Callable[[_F], _F]: ...

    @overload
    def on(self, event: str, fn: _F) -> _F: ...

    def on(self, event: str, fn: Optional[_Listener] = None) -> Any:
        """Calls ``fn``, which may be async: "drain" with the reason ("reload", "retire", "scale", "stop", or "signal", when it was
        told to by somebody else) and the seconds that are left when this worker begins to end, before its nodes do; "stop" when they
        have ended; "message" with the value, the group and the index of who sent it."""
        if event not in _EVENTS:
            raise ValueError(f"no such event: {event!r}; expected one of {', '.join(_EVENTS)}")
        if fn is None:
            return lambda decorated: self.on(event, decorated)
        if not callable(fn):
            raise TypeError(f"expected a function, got {fn!r}")
        self._listeners[event].append((fn, self._note_loop()))
        return fn

    def send(self, group: str, value: Any, index: int = 0) -> None:
        """Sends a value to the worker of a group with this index, or to all of it; each hears of it as "message". It is not known
        whether it comes."""
        if not isinstance(group, str) or isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < 1 << 32:
            raise TypeError(f"expected the name of a group, and the index of a worker in it, got {group!r}, {index!r}")
        name, data = group.encode(), encode(value)
        if not self.solo:
            check(lib.clouds_worker_send(name, len(name), index, data, len(data)))

    def set(self, **variables: Any) -> None:
        """Says something of this worker, by name, for `clouds ps --json`. None takes a name back."""
        with self._lock:
            self._variables.update(variables)
            for name in [name for name, value in variables.items() if value is None]:
                del self._variables[name]
            if self.solo or self._tells_variables:
                return
            self._tells_variables = True
        wait = max(0.0, self._told_variables_at + _VARIABLES - time.monotonic())
        timer = threading.Timer(wait, self._tell_variables)
        timer.daemon = True
        timer.start()

    def retire(self) -> None:
        """Asks to be replaced: when another worker is ready, this one ends in order."""
        if not self.solo:
            self._tell(_abi.CLOUDS_WORKER_RETIRE)

    def reload(self, group: str = "") -> None:
        """Asks for a reload of a group, or of everything."""
        if not self.solo:
            check(lib.clouds_worker_tell(_abi.CLOUDS_WORKER_RELOAD, group.encode(), len(group.encode())))

    def stop(self) -> None:
        """Ends this worker in order; the master starts another at once. Not under `clouds start` it does nothing."""
        if self.solo or self.draining:
            return
        self._tell(_abi.CLOUDS_WORKER_STOPPING)
        self._drain_in("signal", self._seconds)

    def __repr__(self) -> str:
        return "<clouds.worker: none>" if self.solo else f"<clouds.worker {self.group}.{self.index}>"

    def _say_ready(self) -> None:
        with self._lock:
            if not self.solo and not self._told_ready:
                check(lib.clouds_worker_tell(_abi.CLOUDS_WORKER_READY, b"", 0))
            self._told_ready = True

    # ---- what nodes tell of their run()

    def _runs(self, node: "NodeBase") -> None:
        """run() of a node begins: the program is ready when all of these are."""
        if self.solo:
            return
        if threading.current_thread() is threading.main_thread():
            self._running.add(node)
        with self._lock:
            self._unready.add(node)
        node._begin_ready().add_done_callback(lambda future: self._node_is_ready(node, future))

    def _has_run(self) -> None:
        """run() of a node is over. Where this worker ends, that is told first."""
        if self.draining:
            self._over.wait()

    def _node_is_ready(self, node: "NodeBase", future: Any) -> None:
        problem = None if future.cancelled() else future.exception()
        with self._lock:
            self._unready.discard(node)
            left = len(self._unready)
        if node.closed or future.cancelled():
            return
        if problem is not None:
            self._fail(problem)
        if left == 0:
            self._is_ready_by_nodes()

    def _is_ready_by_nodes(self) -> None:
        try:
            self._say_ready()
        except InvalidArgument as missing:  # a taker may still come
            print(f"the worker is not ready: {missing.message}: expected clouds.worker.ready(fn) or listeners()", file=sys.stderr)

    def _on_term(self, *_: Any) -> None:
        self._signaled()

    def _signaled(self) -> bool:
        """A signal that ends the program in order; a second one ends it at once. False where there is no master."""
        if self.solo or self._exiting:
            return False
        if self._over.is_set():
            first, self._ending = not self._ending, True
            if first and not _exits_already():
                raise SystemExit(0)
            return True
        self._signaled_at = self._signaled_at or time.monotonic()
        if time.monotonic() - self._signaled_at > _ONE_SIGNAL:
            raise SystemExit(_abi.CLOUDS_EXIT_UNKNOWN)
        self.stop()
        return True

    # ---- the channel

    def _open(self) -> None:
        if lib.clouds_worker_open() < 0:
            return
        os.environ.pop("CLOUDS_CHANNEL", None)
        self.solo = self._connections.is_solo = self._turns.is_solo = False
        try:
            self._seconds = float(os.environ.get("CLOUDS_DRAIN", ""))
        except ValueError:
            pass  # the usual one
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(line_buffering=True)  # its lines are those of a log
        self._take_signals()
        atexit.register(self._exits)
        _start("clouds-worker", self._listen)
        _start("clouds-messages", self._hand_out)

    def _take_signals(self) -> None:
        """Those that the program has not taken: SIGTERM ends it in order, SIGUSR2 says where it is."""
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._on_term)
        if signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL and sys.__stderr__ is not None:
            import faulthandler
            faulthandler.register(signal.SIGUSR2, file=sys.__stderr__)

    def _exits(self) -> None:
        """The program ends. What was raised says more. One that has ended by the word to drain is told the rest here."""
        self._exiting = True
        if self.draining:
            self._over.wait()
        if not self._told_ready and not self.draining and not hasattr(sys, "last_type"):
            print("the worker has ended before it was ready: no node runs, and it does not call clouds.worker.ready()",
                  file=sys.stderr)

    def _tell(self, word: int, text: bytes = b"") -> None:
        code = lib.clouds_worker_tell(word, text, len(text))
        if code < 0 and code != _abi.CLOUDS_ECLOSED:
            log.error("the master could not be told: %s", lib.clouds_last_error().decode("utf-8", "replace"))

    def _tell_variables(self) -> None:
        with self._lock:
            self._tells_variables, self._told_variables_at = False, time.monotonic()
            try:
                text = encode(self._variables)
            except (TypeError, ValueError) as problem:
                log_failure("the variables of the worker are no JSON", problem)
                return
        self._tell(_abi.CLOUDS_WORKER_VARIABLES, text)

    def _hand_out(self) -> None:
        """The thread of the listeners of messages."""
        while True:
            text, group, index = self._messages.get()
            self._emit("message", math.inf, decode(text), group, index)

    def _listen(self) -> None:
        event = _abi.clouds_worker_event()
        where, size = ctypes.byref(event), ctypes.sizeof(event)
        while True:
            code = lib.clouds_worker_next(where, size, -1.0 if self._asked is None else _LOOK)
            if code < 0:
                return
            try:
                if code > 0:
                    self._told(event)
            except Exception as problem:  # a node that was closed meanwhile
                log_failure("what the master told could not be done", problem)
            self._answer_for_ended_loops()

    def _told(self, event: Any) -> None:
        if event.type == _abi.CLOUDS_WORKER_DRAIN:
            self._drain_in(event.data[:event.data_len].decode("utf-8", "replace"), event.seconds)
        elif event.type == _abi.CLOUDS_WORKER_QUIET:
            method = event.data[:event.data_len].decode("utf-8", "replace")
            self._be_quiet(event.number == 1, method or None)
        elif event.type == _abi.CLOUDS_WORKER_ASK:
            self._ask_loops()
        elif event.type == _abi.CLOUDS_WORKER_MESSAGE:
            text, group = event.data[:event.data_len], event.group[:event.group_len]
            self._messages.put((text.decode("utf-8", "replace"), group.decode("utf-8", "replace"), event.number))
        elif event.type == _abi.CLOUDS_WORKER_CONNECTION:
            self._connections.arrive(event.fd, event.number)
        elif event.type == _abi.CLOUDS_WORKER_LISTENER:
            self._connections.listen(event.fd, event.watch_fd, event.number)
        elif event.type == _abi.CLOUDS_WORKER_TURN:
            self._turns.given()

    def _be_quiet(self, yes: bool, method: Optional[str]) -> None:
        for node in nodes():
            if node._handle.serves and not node.closed:
                _where_it_lives(node, functools.partial(_pause, node, yes, method))

    # ---- whether the program comes to its turn

    def _note_loop(self) -> "Optional[_Loop]":
        """The loop that this is called in, if it is one."""
        loop: "Optional[_Loop]" = sys.modules["asyncio"]._get_running_loop() if "asyncio" in sys.modules else None
        if loop is not None:
            self._loops.add(loop)
        return loop

    def _ask_loops(self) -> None:
        used = {getattr(node, "_loop", None) for node in nodes()} | set(self._loops)
        with self._lock:
            self._asked = asked = {loop for loop in used if loop is not None and loop.is_running()}
        for loop in list(asked):
            try:
                loop.call_soon_threadsafe(self._turned, loop)
            except RuntimeError:
                self._turned(loop)

    def _turned(self, loop: "Optional[_Loop]") -> None:
        """This loop has answered; None: look whether all have."""
        with self._lock:
            if self._asked is None:
                return
            self._asked.discard(loop)  # type: ignore[arg-type]
            if self._asked:
                return
            self._asked = None
        self._tell(_abi.CLOUDS_WORKER_ALIVE)

    def _answer_for_ended_loops(self) -> None:
        with self._lock:
            if self._asked is not None:
                self._asked = {loop for loop in self._asked if loop.is_running()}
        self._turned(None)

    # ---- the end

    def _drain_in(self, reason: str, seconds: float) -> None:
        with self._lock:
            if self.draining:
                return
            self.draining = True
        _start("clouds-drain", self._drain, reason, seconds)

    def _drain(self, reason: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        ends_by_itself = any(not node._handle.over.is_set() for node in list(self._running))
        self._emit("drain", until, reason, seconds)
        ending = [node for node in nodes() if not node.closed and (node._handle.serves or node in self._running)]
        for node in ending:
            left = max(0.0, until - time.monotonic())
            _where_it_lives(node, functools.partial(node._stop, left))
        for node in ending:
            node._handle.over.wait(max(0.0, until - time.monotonic()) + _MARGIN)
        del ending
        self._connections.drain(until)
        self._repetitions.end(until + _MARGIN)
        self._emit("stop", until)
        self._over.set()
        if not ends_by_itself:
            self._end_main_thread(until)
        time.sleep(max(0.0, until - time.monotonic()) + _MARGIN)
        self._exit(_abi.CLOUDS_EXIT_UNKNOWN)

    def _end_main_thread(self, until: float) -> None:
        """By a signal; when it comes as that thread is about to wait in a system call, it is seen when another comes."""
        while not self._exiting and not self._ending and time.monotonic() < until + _MARGIN:
            os.kill(os.getpid(), signal.SIGTERM)
            if signal.getsignal(signal.SIGTERM) != self._on_term:
                return  # the program looks after it
            time.sleep(_AGAIN)

    def _emit(self, event: str, until: float, *arguments: Any) -> None:
        """Runs the listeners one after the other, each where it was added."""
        for fn, loop in list(self._listeners[event]):
            try:
                if loop is not None and loop.is_running():
                    going = sys.modules["asyncio"].run_coroutine_threadsafe(_awaited(fn, arguments), loop)
                else:
                    result = fn(*arguments)
                    if not hasattr(result, "__await__"):
                        continue
                    from clouds._delayed import in_background
                    going = in_background(_awaited(lambda result=result: result, ()))
                going.result(None if until == math.inf else max(0.0, until - time.monotonic()) + _MARGIN)
            except BaseException as problem:
                log_failure("a listener failed", problem)

    def _fail(self, problem: BaseException) -> None:
        """What this worker is for cannot be: it ends, and the master says why."""
        words = f"{problem.code}: {problem}" if isinstance(problem, Error) else f"{type(problem).__name__}: {problem}"
        print(f"the worker cannot serve: {escaped(words)}", file=sys.stderr)
        self._exit(_abi.CLOUDS_EXIT_ERROR)

    @staticmethod
    def _exit(code: int) -> None:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (AttributeError, OSError, ValueError):
                pass
        os._exit(code)


worker = Worker()
if "CLOUDS_CHANNEL" in os.environ:
    worker._open()
