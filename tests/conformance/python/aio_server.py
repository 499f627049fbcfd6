"""The server in Python with asyncio: see README.md for its methods."""
import asyncio
from typing import Any, Dict

import clouds
import clouds.aio
from methods import Methods
from shared import Messages, read, say, serving
from streams import lines


class Waiting(Methods):
    def __init__(self, nodes: Dict[str, clouds.aio.Server]) -> None:
        super().__init__()
        self._nodes = nodes

    async def pass_on(self) -> Any:
        return await self._nodes["first"].call("meta")

    async def slow(self, seconds: float, *values: Any) -> Any:
        await asyncio.sleep(seconds)
        return clouds.Values(*values)

    async def add(self, a: float, b: float) -> float:
        return a + b


async def main() -> None:
    nodes = {"first": clouds.aio.Server(**serving({}))}
    methods = Waiting(nodes)
    first = nodes["first"]
    messages = Messages(first)

    async def register(line: Dict[str, Any]) -> Dict[str, Any]:
        name = line.get("node", "first")
        if name not in nodes:
            nodes[name] = clouds.aio.Server(**serving(line))
        nodes[name].register(line["method"], methods.named(line["as"]))
        await nodes[name].ready()
        return {}

    async def send(line: Dict[str, Any]) -> Dict[str, Any]:
        for value in line["values"]:
            await first.send(line["to"], value)
        return {}

    async def heard(line: Dict[str, Any]) -> Dict[str, Any]:
        return messages.of(line)

    async def subscribe(line: Dict[str, Any]) -> Dict[str, Any]:
        messages.subscribe(line)
        await first.ready()
        return {}

    async def publish(line: Dict[str, Any]) -> Dict[str, Any]:
        for value in line["values"]:
            await first.publish(line["topic"], value)
        return {}

    async def held(line: Dict[str, Any]) -> Dict[str, Any]:
        return {"count": methods.held(line["key"])}

    async def canceled(line: Dict[str, Any]) -> Dict[str, Any]:
        return {"canceled": methods.canceled(line["key"])}

    async def leave(line: Dict[str, Any]) -> Dict[str, Any]:
        await nodes[line["node"]].close(line["drain"])
        return {}

    async def obey(line: Dict[str, Any]) -> None:
        say({"n": line["n"], **await commands[line["do"]](line)})

    for name in methods.all_names():
        first.register(name, methods.named(name))
    await first.ready()
    say({"ready": first.id})
    commands = {"register": register, "send": send, "messages": heard, "held": held, "canceled": canceled, "leave": leave,
                "subscribe": subscribe, "publish": publish}
    tasks = set()
    async for text in lines():
        task = asyncio.ensure_future(obey(read(text)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    for node in nodes.values():
        await node.close(0)


if __name__ == "__main__":
    asyncio.run(main())
