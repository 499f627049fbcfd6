"""What the four drivers in Python share: lines in and out, results and errors as the runner wants them told."""
import json
import logging
import os
import sys
import threading
from typing import Any, Dict, List

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import clouds  # noqa: E402
from table import canonical  # noqa: E402,F401

TIMEOUT = 60
NOT_MEMBERS = ("originStack", "outcome", "retryable", "values")

logging.disable(logging.CRITICAL)  # the faults in handlers are wanted
_saying = threading.Lock()


def say(line: Dict[str, Any]) -> None:
    with _saying:
        print(json.dumps(line), flush=True)


def _bytes_of(found: Dict[str, Any]) -> Any:
    return bytes.fromhex(found["$bin"]) if list(found) == ["$bin"] else found


def read(text: Any) -> Dict[str, Any]:
    """A command; what stands for bytes in it becomes some."""
    line: Dict[str, Any] = json.loads(text, object_hook=_bytes_of)
    return line


def told(result: Any) -> Dict[str, Any]:
    """A result as an answer. None stands for no value as well as for a null."""
    return {"values": canonical(list(result) if isinstance(result, clouds.Values) else [result])}


def told_error(error: clouds.Error) -> Dict[str, Any]:
    members = {key: value for key, value in error.more.items() if key not in NOT_MEMBERS}
    said = {"code": error.code, "message": error.message, "outcome": error.outcome, "members": canonical(members)}
    if error.values:
        said["values"] = canonical(list(error.values))
    return {"error": said}


class Attempts:
    """An on_retry that adds the number of the attempt to the arguments."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *arguments: Any) -> List[Any]:
        self.count += 1
        return [*arguments, self.count]


def serving(line: Dict[str, Any]) -> Dict[str, Any]:
    """Options of a node: all clients ask at once, and a starved machine must not let registrations expire."""
    return {"heartbeat": line.get("heartbeat", 30), "write_soft": 1 << 26}


def bind(client: Any, line: Dict[str, Any], attempts: Attempts) -> Any:
    options = dict(line["options"])
    if options.pop("on_retry", False):
        options["on_retry"] = attempts
    return client.bind(line["method"], **options)


class Messages:
    """What each node has sent, and what each subscription got."""

    def __init__(self, node: Any) -> None:
        self._node = node
        self._heard: Dict[str, List[str]] = {}
        node.on_message(self._hear)

    def _hear(self, sender: str, value: Any) -> None:
        self._heard.setdefault(sender, []).append(canonical(value))

    def subscribe(self, line: Dict[str, Any]) -> None:
        """Has to be followed by ready()."""
        def hear(value: Any, message: clouds.Message) -> None:
            self._hear(line["key"], [value, message.meta] if line.get("meta") else value)

        self._node.subscribe(*line["topics"], handler=hear,
                             all=line.get("all", False), group=line.get("group"))

    def of(self, line: Dict[str, Any]) -> Dict[str, Any]:
        return {"values": self._heard.get(line["from"], [])}
