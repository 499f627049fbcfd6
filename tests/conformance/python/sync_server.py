"""The server in Python: see README.md for its methods."""
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict

import clouds
from methods import Methods
from shared import Messages, read, say, serving


class Waiting(Methods):
    def __init__(self, nodes: Dict[str, clouds.Server]) -> None:
        super().__init__()
        self._nodes = nodes

    def pass_on(self) -> Any:
        return self._nodes["first"].call("meta")

    def slow(self, seconds: float, *values: Any) -> Any:
        time.sleep(seconds)
        return clouds.Values(*values)


def server(line: Dict[str, Any]) -> clouds.Server:
    """One that has a thread for each client's call of slow, and some for the rest."""
    return clouds.Server(workers=16, **serving(line))


def main() -> None:
    nodes = {"first": server({})}
    methods = Waiting(nodes)
    first, making = nodes["first"], threading.Lock()
    messages = Messages(first)

    def register(line: Dict[str, Any]) -> Dict[str, Any]:
        name = line.get("node", "first")
        with making:
            if name not in nodes:
                nodes[name] = server(line)
        nodes[name].register(line["method"], methods.named(line["as"]))
        nodes[name].ready()
        return {}

    def send(line: Dict[str, Any]) -> Dict[str, Any]:
        for value in line["values"]:
            first.send(line["to"], value)
        return {}

    def subscribe(line: Dict[str, Any]) -> Dict[str, Any]:
        messages.subscribe(line)
        first.ready()
        return {}

    def publish(line: Dict[str, Any]) -> Dict[str, Any]:
        for value in line["values"]:
            first.publish(line["topic"], value)
        return {}

    def held(line: Dict[str, Any]) -> Dict[str, Any]:
        return {"count": methods.held(line["key"])}

    def canceled(line: Dict[str, Any]) -> Dict[str, Any]:
        return {"canceled": methods.canceled(line["key"])}

    def leave(line: Dict[str, Any]) -> Dict[str, Any]:
        nodes[line["node"]].close(line["drain"])
        return {}

    def obey(line: Dict[str, Any]) -> None:
        say({"n": line["n"], **commands[line["do"]](line)})

    for name in methods.all_names():
        first.register(name, methods.named(name))
    first.ready()
    say({"ready": first.id})
    commands = {"register": register, "send": send, "messages": messages.of, "held": held, "canceled": canceled, "leave": leave,
                "subscribe": subscribe, "publish": publish}
    with ThreadPoolExecutor(16) as pool:
        for text in sys.stdin:
            pool.submit(obey, read(text))
    for node in nodes.values():
        node.close(0)


if __name__ == "__main__":
    main()
