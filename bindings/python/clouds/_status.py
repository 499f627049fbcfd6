"""What status() gives. All but servers and methods is there where there is anything to say."""
from typing import Dict, List, TypedDict


class ServerState(TypedDict):
    """A server, as it says itself."""

    paused: List[str]
    weight: int
    tags: Dict[str, str]


class _Paused(TypedDict):
    paused: bool


class OwnMethod(_Paused, total=False):
    """A method of a node of this process; adaptive, latency and unqueued (seconds) of one whose concurrency is found; rate,
    burst and tokens of one with a rate."""

    running: int
    waiting: int
    concurrency: int
    queue: int
    adaptive: bool
    latency: float
    unqueued: float
    rate: float
    burst: float
    tokens: float


class OwnNode(TypedDict):
    """A node of this process that is paused, drains or has limits."""

    state: str
    methods: Dict[str, OwnMethod]


class _Served(TypedDict):
    servers: Dict[str, List[str]]
    methods: Dict[str, List[str]]


class Status(_Served, total=False):
    """Who serves what."""

    states: Dict[str, ServerState]
    seen: Dict[str, Dict[str, str]]
    own: Dict[str, OwnNode]
