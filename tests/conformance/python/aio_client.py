"""The client in Python with asyncio: see README.md for its commands. Each command is a task."""
import asyncio
import traceback
from typing import Any, Dict

import clouds
import clouds.aio
from shared import TIMEOUT, Attempts, Messages, bind, read, say, told, told_error
from streams import lines

Line = Dict[str, Any]


class Commands:
    async def start(self) -> None:
        self.client, self.monitor = clouds.aio.Client(timeout=TIMEOUT), clouds.aio.Monitor()
        await asyncio.gather(self.client.ready(), self.monitor.ready())
        self._messages = Messages(self.client)

    async def call(self, line: Line) -> Line:
        try:
            return told(await self.client.call(line["method"], *line["args"], **line["options"]))
        except clouds.Error as error:
            return told_error(error)

    async def notify(self, line: Line) -> Line:
        try:
            await self.client.notify(line["method"], *line["args"], **line["options"])
        except clouds.Error as error:
            return told_error(error)
        return {}

    async def bind(self, line: Line) -> Line:
        attempts = Attempts()
        try:
            answer = told(await bind(self.client, line, attempts)(*line["args"]))
        except clouds.Error as error:
            answer = told_error(error)
        return {**answer, "attempts": attempts.count}

    async def cancel(self, line: Line) -> Line:
        """Cancelling the task cancels the call; what asyncio says then has no code."""
        task = asyncio.ensure_future(self.client.call(line["method"], *line["args"]))
        await asyncio.sleep(0.05)
        task.cancel()
        try:
            return told(await task)
        except asyncio.CancelledError:
            return {"error": {"code": "CLOUDS_CANCELED", "outcome": "UNKNOWN", "message": ""}}

    async def close(self, line: Line) -> Line:
        """A client of its own, closed while its calls are outstanding."""
        own = clouds.aio.Client(timeout=TIMEOUT)
        await own.ready()
        calls = [asyncio.ensure_future(own.call(line["method"])) for _ in range(line["calls"])]
        await asyncio.sleep(0)
        await own.close(0)
        ends = await asyncio.gather(*calls, return_exceptions=True)
        return {"codes": [getattr(end, "code", repr(end)) for end in ends]}

    async def send(self, line: Line) -> Line:
        for value in line["values"]:
            await self.client.send(line["to"], value)
        return {}

    async def subscribe(self, line: Line) -> Line:
        self._messages.subscribe(line)
        await self.client.ready()
        return {}

    async def publish(self, line: Line) -> Line:
        for value in line["values"]:
            await self.client.publish(line["topic"], value)
        return {}

    async def messages(self, line: Line) -> Line:
        return self._messages.of(line)

    async def status(self, line: Line) -> Line:
        return {"status": await self.monitor.status()}

    async def obey(self, line: Line) -> None:
        try:
            answer = await getattr(self, line["do"])(line)
        except Exception:
            answer = {"problem": traceback.format_exc()}
        say({"n": line["n"], **answer})


async def main() -> None:
    commands, tasks = Commands(), set()
    await commands.start()
    say({"ready": commands.client.id})
    async for text in lines():
        task = asyncio.ensure_future(commands.obey(read(text)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await commands.client.close(0)
    await commands.monitor.close(0)


if __name__ == "__main__":
    asyncio.run(main())
