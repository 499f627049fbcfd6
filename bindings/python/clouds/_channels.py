"""Channels: publishing at topics, subscriptions to them, and watching them."""
import collections
import ctypes
import json
import threading
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, NamedTuple, Optional, Tuple, TypeVar

from clouds import _abi
from clouds._again import hand_in
from clouds._error import Error
from clouds._events import Event, failure, size_of
from clouds._faults import escaped, log
from clouds._library import lib
from clouds._operations import Registration
from clouds._options import with_options
from clouds._payload import payload_of
from clouds._request import here_text
from clouds._span import consuming
from clouds._values import decode, decode_along

if TYPE_CHECKING:
    from clouds._node import NodeBase

_Self = TypeVar("_Self", bound="Watch")
# It goes on until it is there: ready() has the limit.
_UNLIMITED = _abi.clouds_operation_options(size=ctypes.sizeof(_abi.clouds_operation_options), timeout=_abi.CLOUDS_LONGEST_SECONDS)


class Message(NamedTuple):
    """What was published, and what goes with it."""

    value: Any
    topic: str
    sender: str
    missed: int     # messages of this sender and topic that are missing before it
    lagged: bool    # some of them were dropped here, since they were not taken in time
    sequence: int   # its number within sender and topic, from 1; 0: it has none
    meta: Optional[Dict[str, Any]]


def message_of(event: Event, missed: int, lagged: bool) -> Message:
    """The message of an event."""
    meta = decode(event.meta) if event.meta else None
    return Message(decode_along(event.data, event.area), event.method, event.peer, event.number + missed,
                   lagged or bool(event.flags & _abi.CLOUDS_FLAG_LAGGED), event.sequence, meta)


def _bytes_of(event: Event) -> int:
    """So much of queue_bytes a message takes, as in the queue of the library: the bytes of its texts."""
    texts = (event.data, event.meta, event.method, event.peer)
    return len(event.area) + sum(len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")) for text in texts)


class Waiting:
    """The messages of a subscription that wait. What does not fit is dropped, and told with the one behind it."""

    def __init__(self, options: Any) -> None:
        self._events: Deque[Tuple[Event, int]] = collections.deque()  # and how many were dropped before it
        self._bytes = self._missed = 0
        self._most = options.queue or _abi.CLOUDS_SUBSCRIBE_QUEUE
        self._most_bytes = options.queue_bytes or _abi.CLOUDS_SUBSCRIBE_BYTES
        self._keeps_oldest = bool(options.flags & _abi.CLOUDS_SUBSCRIBE_DROP_NEWEST)

    def __len__(self) -> int:
        return len(self._events)

    def _has_room(self, size: int) -> bool:
        return len(self._events) < self._most and self._bytes + size <= self._most_bytes

    def put(self, event: Event) -> None:
        """Takes one more in, or drops it."""
        size = _bytes_of(event)
        if size > self._most_bytes or (self._keeps_oldest and not self._has_room(size)):
            self._missed += 1 + event.number
            return
        while not self._has_room(size):
            oldest, before = self._events.popleft()
            self._bytes -= _bytes_of(oldest)
            lost = before + 1 + oldest.number
            if self._events:
                first, dropped = self._events[0]
                self._events[0] = first, dropped + lost
            else:
                self._missed += lost
        self._events.append((event, self._missed))
        self._bytes, self._missed = self._bytes + size, 0

    def take(self) -> Tuple[Event, int]:
        """The oldest, and how many were dropped before it."""
        event, dropped = self._events.popleft()
        self._bytes -= _bytes_of(event)
        return event, dropped

    def drop_last(self) -> None:
        """Nobody can take the one that was put in last."""
        event, before = self._events.pop()
        self._bytes -= _bytes_of(event)
        self._missed += before + 1 + event.number


class Subscription:
    """What a node has subscribed to; a call of it is a call of its function."""

    def __init__(self, node: "NodeBase", topics: Tuple[str, ...], fn: Callable[..., Any], options: Any) -> None:
        self.topics = topics
        self.closed = False
        self._node, self._fn, self._number = node, fn, 0
        self._waiting, self._turns = Waiting(options), 0  # turns: how often _next will be called
        self._changed = threading.Condition(threading.RLock())

    def __repr__(self) -> str:
        state = " closed" if self.closed else ""
        return f"<clouds.Subscription {', '.join(self.topics)}{state}>"

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._fn(*arguments, **keywords)

    def close(self) -> None:
        """Ends it: nothing of it comes any more. A second time does nothing."""
        if not self.closed:
            self._end(None)
            self._node._unsubscribe(self._number)

    # ---- in the thread that takes the events

    def _put(self, event: Event) -> None:
        """Each turn takes the message that is the oldest then, so that what is dropped costs none."""
        with self._changed:
            if self.closed:
                return
            self._waiting.put(event)
            if self._turns >= len(self._waiting):
                return
            self._turns += 1
        if not self._node._run([self._consume], self._next, size_of(event), 0):
            with self._changed:
                self._turns -= 1
                if len(self._waiting) > self._turns:
                    self._waiting.drop_last()

    def _next(self) -> Tuple[Optional[Event], int]:
        with self._changed:
            self._turns -= 1
            if self.closed or not len(self._waiting):
                return None, 0
            return self._waiting.take()

    def _consume(self, event: Optional[Event], dropped: int) -> Any:
        """Calls the function; what it gives may have to be awaited."""
        if event is None:
            return None
        message = message_of(event, dropped, dropped > 0)
        fn = consuming(self._node, event.meta, event.method, self._fn) if event.meta else self._fn
        return fn(message.value, message)

    def _end(self, problem: Optional[Error]) -> None:
        self.closed = True


class Watch(Subscription):
    """The messages of a subscription, one after the other, in a queue that drops the oldest when it is full."""

    def __init__(self, node: "NodeBase", topics: Tuple[str, ...], options: Any) -> None:
        super().__init__(node, topics, self._put, options)
        self._problem: Optional[Error] = None

    def __repr__(self) -> str:
        return super().__repr__().replace("Subscription", "Watch")

    def _put(self, event: Event) -> None:
        with self._changed:
            if self.closed:
                return
            self._waiting.put(event)
            self._wake()

    def _take(self) -> Optional[Message]:
        """The next message, if there is one."""
        if not len(self._waiting):
            return None
        event, dropped = self._waiting.take()
        return message_of(event, dropped, dropped > 0)

    def _end(self, problem: Optional[Error]) -> None:
        with self._changed:
            self.closed, self._problem = True, problem
            self._wake()

    def _wake(self) -> None:
        self._changed.notify_all()


class SyncWatch(Watch):
    """For the sync API: ``with node.watch("chat.*") as watch: for message in watch: ...``."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __iter__(self: _Self) -> _Self:
        return self

    def __next__(self) -> Message:
        message = self.get()
        if message is None:
            raise StopIteration
        return message

    def get(self, timeout: Optional[float] = None) -> Optional[Message]:
        """The next message, for which it waits; None when `timeout` seconds passed, or when it is closed."""
        with self._changed:
            while not len(self._waiting):
                if self._problem is not None:
                    raise self._problem
                if self.closed or not self._changed.wait(timeout):
                    return None
            return self._take()


def check_topics(topics: Tuple[Any, ...]) -> Tuple[str, ...]:
    """A TypeError for what is no text."""
    for topic in topics:
        if not isinstance(topic, str):
            raise TypeError(f"expected a topic, got {topic!r}")
    return topics


def _count(name: str, value: Optional[int]) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name}: expected a whole number from 1 on, got {value!r}")
    return value


class Channels:
    """The subscriptions of a node, by their numbers."""

    def __init__(self) -> None:
        self._all: Dict[int, Subscription] = {}
        self._lock = threading.RLock()  # an event may come before its subscription is noted

    def begin(self, node: "NodeBase", subscription: Subscription, options: Any, limit: Any) -> None:
        """Subscribes. It goes on by itself; ready() waits for it."""
        topics = json.dumps(list(subscription.topics)).encode()
        number = ctypes.c_uint64()
        node._check_usable()
        with self._lock:
            node._checked(lib.clouds_node_subscribe(node._node, topics, len(topics), ctypes.byref(options), limit,
                                                    ctypes.byref(number)))
            subscription._number = number.value
            self._all[number.value] = subscription
        node._operations.begun(number.value, Registration())
        node._check_ready()
        node._schedule_flush()

    def of(self, event: Event) -> Optional[Subscription]:
        """That of an event."""
        found = self._all.get(event.id)
        if found is not None:
            return found
        with self._lock:
            return self._all.get(event.id)

    def forget(self, number: int) -> Optional[Subscription]:
        """Takes one out."""
        with self._lock:
            return self._all.pop(number, None)

    def end(self, problem: Error) -> None:
        """Nothing will come any more."""
        with self._lock:
            numbers = list(self._all)
        for number in numbers:
            one = self.forget(number)
            if one is not None and not one.closed:
                one._end(None)


def options_of(all: bool, group: Optional[str], queue: Optional[int], queue_bytes: Optional[int],
               keep_oldest: bool) -> Any:
    """The record of the options of a subscription."""
    if group is not None and not isinstance(group, str):
        raise TypeError(f"group: expected a text, got {group!r}")
    name = None if group is None else group.encode()
    flags = (_abi.CLOUDS_SUBSCRIBE_ALL if all else 0) | (_abi.CLOUDS_SUBSCRIBE_DROP_NEWEST if keep_oldest else 0)
    return _abi.clouds_subscribe_options(size=ctypes.sizeof(_abi.clouds_subscribe_options), flags=flags,
                                         queue=_count("queue", queue), queue_bytes=_count("queue_bytes", queue_bytes),
                                         group=name, group_len=len(name or b""))


@with_options
class Publishing:
    """What of a node has to do with channels."""

    def _begin_publish(self: Any, topic: Any, value: Any, confirm: bool, meta: Optional[Dict[str, Any]],
                       timeout: Optional[float]) -> Any:
        """A future for how many got it, with `confirm`; else None."""
        if not isinstance(topic, str):
            raise TypeError(f"expected a topic, got {topic!r}")
        to, payload = topic.encode(), payload_of(value, meta, here_text())
        if confirm:
            return self._begin(lib.clouds_node_publish, to, len(to), payload, _abi.CLOUDS_SEND_CONFIRM,
                               timeout=timeout)
        self._checked(lib.clouds_node_publish(self._node, to, len(to), payload, 0, None, None))
        self._schedule_flush()
        return None

    def _unsubscribe(self: Any, number: int) -> None:
        """Ends a subscription. That it has ended meanwhile, or with its node, is fine."""
        if not self.closed:
            hand_in(self, lib.clouds_unsubscribe, number)

    def subscribe(self: Any, *topics: str, handler: Optional[Callable[..., Any]] = None, all: bool = False,
                  group: Optional[str] = None, queue: Optional[int] = None, queue_bytes: Optional[int] = None,
                  keep_oldest: bool = False) -> Any:
        """Calls a function with what is published: ``@node.subscribe("chat.*")``, or with ``handler=fn``.

        topics: topics and patterns (``*`` is one token, ``>`` at the end one or more). The function gets the value and a
        clouds.Message with topic, sender, missed, lagged, sequence and meta; it runs as a listener does, one message
        after the other. all: it gets the list of their values when there is one of each. group: of its members one gets
        each message. queue, queue_bytes: so much may wait; keep_oldest: what comes is dropped then, else the oldest.
        Gives the clouds.Subscription, which has close(). ready() waits until it is complete; nothing has to.
        """
        names, options = check_topics(topics), options_of(all, group, queue, queue_bytes, keep_oldest)

        def decorate(fn: Callable[..., Any]) -> Subscription:
            if not callable(fn):
                raise TypeError(f"expected a function, got {fn!r}")
            subscription = Subscription(self, names, fn, options)
            self._channels.begin(self, subscription, options, ctypes.byref(_UNLIMITED))
            return subscription
        return decorate if handler is None else decorate(handler)

    def _begin_watch(self: Any, kind: Any, topics: Any, all: bool, group: Optional[str], queue: Optional[int],
                     queue_bytes: Optional[int]) -> Any:
        names, options = check_topics(topics), options_of(all, group, queue, queue_bytes, False)
        watch = kind(self, names, options)
        self._channels.begin(self, watch, options, ctypes.byref(_UNLIMITED))
        return watch


@with_options
class SyncPublishing:
    """What of a node of the sync API has to do with channels."""

    def publish(self: Any, topic: str, value: Any = None, *, confirm: bool = False, meta: Optional[Dict[str, Any]] = None,
                timeout: Optional[float] = None) -> Optional[int]:
        """Publishes a value at a topic: everybody who has subscribed to it gets it, at most once each.

        With confirm it gives how many got it; None: not known. timeout: the longest wait for that, in seconds. meta: a
        dict that goes along.
        """
        future = self._begin_publish(topic, value, confirm, meta, timeout)
        receivers: Optional[int] = None if future is None else future.result()
        return receivers

    def watch(self: Any, *topics: str, all: bool = False, group: Optional[str] = None, queue: Optional[int] = None,
              queue_bytes: Optional[int] = None) -> SyncWatch:
        """What is published, one after the other: ``with node.watch("chat.*") as watch: for message in watch: ...``.

        The messages are clouds.Message. So many as `queue` (1024) wait; the oldest is dropped then. See subscribe().
        """
        watch: SyncWatch = self._begin_watch(SyncWatch, topics, all, group, queue, queue_bytes)
        return watch


# ---- events

def subscribed(node: "NodeBase", event: Event) -> None:
    """A subscription is complete, or failed."""
    key = f"subscription {event.method}"
    node._failed.pop(key, None)
    if event.code:
        problem = failure(event)
        one = node._channels.forget(event.id)
        if one is not None and not one.closed:
            one._end(None if node.closed else problem)  # as those that are complete, which end with their node
            node._failed[key] = problem
            if not node.closed:
                log.error("not subscribed to %s: %s", escaped(", ".join(one.topics)), escaped(str(problem)))
    node._operations.ended(event)
    node._check_ready()


def published(node: "NodeBase", event: Event) -> None:
    """A message."""
    one = node._channels.of(event)
    if one is not None:
        one._put(event)


def unsubscribed(node: "NodeBase", event: Event) -> None:
    """A subscription has ended."""
    one = node._channels.forget(event.id)
    if one is not None and not one.closed:
        one._end(failure(event) if event.code else None)
