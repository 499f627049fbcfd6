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
from clouds._library import error, lib
from clouds._threads import SimpleQueue
from clouds._values import decode, encode

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop as _Loop
    from clouds._node import NodeBase

_Listener = Callable[..., Any]
_F = TypeVar("_F", bound=_Listener)

_EVENTS = ("drain", "stop", "message")
_USUAL_DRAIN = 8.0
_MARGIN = 1.0    # seconds beyond the drain that the end of the process may take
_LOOK = 1.0      # seconds after which a loop that has not answered may be one that has ended
_VARIABLES = 1.0  # seconds between two times that variables are told
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


def _pause(node: "NodeBase", yes: bool) -> None:
    node._begin_pause(None, yes, None).add_done_callback(ignore)


async def _awaited(fn: _Listener, arguments: Tuple[Any, ...]) -> None:
    result = fn(*arguments)
    if hasattr(result, "__await__"):
        await result


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
        self._signaled_at = 0.0
        self._seconds = _USUAL_DRAIN  # of a drain that nobody said how long of
        self._listeners: Dict[str, List[Tuple[_Listener, "Optional[_Loop]"]]] = {name: [] for name in _EVENTS}
        self._loops: "weakref.WeakSet[_Loop]" = weakref.WeakSet()  # of programs that use this without a node
        self._running: "weakref.WeakSet[NodeBase]" = weakref.WeakSet()  # whose run() the main thread is in
        self._unready: "Set[NodeBase]" = set()
        self._asked: "Optional[Set[_Loop]]" = None  # loops that have not answered yet
        self._messages: Any = SimpleQueue()
        self._variables: Dict[str, Any] = {}
        self._tells_variables, self._told_variables_at = False, 0.0

    # ---- what programs use

    def ready(self) -> None:
        """Says that this worker serves. run() of a node says so when what was registered is."""
        self._note_loop()
        with self._lock:
            first, self._told_ready = not self._told_ready, True
        if first and not self.solo:
            self._tell(_abi.CLOUDS_WORKER_READY)

    @overload
    def on(self, event: str) -> Callable[[_F], _F]: ...

    @overload
    def on(self, event: str, fn: _F) -> _F: ...

    def on(self, event: str, fn: Optional[_Listener] = None) -> Any:
        """Calls ``fn``, which may be async: "drain" with the seconds that are left when this worker begins to end, before its
        nodes do; "stop" when they have ended; "message" with the value, the group and the index of who sent it."""
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
            self._check(lib.clouds_worker_send(name, len(name), index, data, len(data)))

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
            self._check(lib.clouds_worker_tell(_abi.CLOUDS_WORKER_RELOAD, group.encode(), len(group.encode())))

    def stop(self) -> None:
        """Ends this worker in order; the master starts another at once. Not under `clouds start` it does nothing."""
        if self.solo or self.draining:
            return
        self._tell(_abi.CLOUDS_WORKER_STOPPING)
        self._drain_in(self._seconds)

    def __repr__(self) -> str:
        return "<clouds.worker: none>" if self.solo else f"<clouds.worker {self.group}.{self.index}>"

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
            self.ready()

    def _on_term(self, *_: Any) -> None:
        self._signaled()

    def _signaled(self) -> bool:
        """A signal that ends the program in order; a second one ends it at once. False where there is no master."""
        if self.solo:
            return False
        if self._over.is_set():
            raise SystemExit(0)
        first = self._signaled_at = self._signaled_at or time.monotonic()
        if time.monotonic() - first > _ONE_SIGNAL:
            raise SystemExit(_abi.CLOUDS_EXIT_UNKNOWN)
        self.stop()
        return True

    # ---- the channel

    def _open(self) -> None:
        if lib.clouds_worker_open() < 0:
            return
        os.environ.pop("CLOUDS_CHANNEL", None)
        self.solo = False
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
        """The program ends. What was raised says more."""
        if not self._told_ready and not self.draining and not hasattr(sys, "last_type"):
            print("the worker has ended before it was ready: no node runs, and it does not call clouds.worker.ready()",
                  file=sys.stderr)

    def _tell(self, word: int, text: bytes = b"") -> None:
        code = lib.clouds_worker_tell(word, text, len(text))
        if code < 0 and code != _abi.CLOUDS_ECLOSED:
            log.error("the master could not be told: %s", lib.clouds_last_error().decode("utf-8", "replace"))

    @staticmethod
    def _check(code: int) -> None:
        if code < 0 and code != _abi.CLOUDS_ECLOSED:
            raise error(code)

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
            self._drain_in(event.seconds)
        elif event.type == _abi.CLOUDS_WORKER_QUIET:
            self._be_quiet(event.number == 1)
        elif event.type == _abi.CLOUDS_WORKER_ASK:
            self._ask_loops()
        elif event.type == _abi.CLOUDS_WORKER_MESSAGE:
            text, group = event.data[:event.data_len], event.group[:event.group_len]
            self._messages.put((text.decode("utf-8", "replace"), group.decode("utf-8", "replace"), event.number))

    def _be_quiet(self, yes: bool) -> None:
        for node in nodes():
            if node._handle.serves and not node.closed:
                _where_it_lives(node, functools.partial(_pause, node, yes))

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

    def _drain_in(self, seconds: float) -> None:
        with self._lock:
            if self.draining:
                return
            self.draining = True
        _start("clouds-drain", self._drain, seconds)

    def _drain(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        ends_by_itself = any(not node._handle.over.is_set() for node in list(self._running))
        self._emit("drain", until, seconds)
        ending = [node for node in nodes() if not node.closed and (node._handle.serves or node in self._running)]
        for node in ending:
            left = max(0.0, until - time.monotonic())
            _where_it_lives(node, functools.partial(node._stop, left))
        for node in ending:
            node._handle.over.wait(max(0.0, until - time.monotonic()) + _MARGIN)
        del ending
        self._emit("stop", until)
        self._over.set()
        if not ends_by_itself:
            os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(max(0.0, until - time.monotonic()) + _MARGIN)
        self._exit(_abi.CLOUDS_EXIT_UNKNOWN)

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
