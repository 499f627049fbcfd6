"""The client in Python: see README.md for its commands. Each command runs in a thread; they share the client."""
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict

import clouds
from shared import TIMEOUT, Attempts, Messages, bind, read, say, told, told_error

Line = Dict[str, Any]


class Commands:
    def __init__(self) -> None:
        self.client, self.monitor = clouds.Client(timeout=TIMEOUT), clouds.Monitor()
        self.client.ready()
        self.monitor.ready()
        self._messages = Messages(self.client)

    def call(self, line: Line) -> Line:
        try:
            return told(self.client.call(line["method"], *line["args"], **line["options"]))
        except clouds.Error as error:
            return told_error(error)

    def notify(self, line: Line) -> Line:
        try:
            self.client.notify(line["method"], *line["args"], **line["options"])
        except clouds.Error as error:
            return told_error(error)
        return {}

    def bind(self, line: Line) -> Line:
        attempts = Attempts()
        try:
            answer = told(bind(self.client, line, attempts)(*line["args"]))
        except clouds.Error as error:
            answer = told_error(error)
        return {**answer, "attempts": attempts.count}

    def close(self, line: Line) -> Line:
        """A client of its own, closed while calls of other threads are outstanding."""
        own = clouds.Client(timeout=TIMEOUT)
        own.ready()

        def call(_: int) -> str:
            try:
                own.call(line["method"])
            except clouds.Error as error:
                return error.code
            return "answered"

        with ThreadPoolExecutor(line["calls"]) as pool:
            codes = pool.map(call, range(line["calls"]))
            own.close(0)
            return {"codes": list(codes)}

    def send(self, line: Line) -> Line:
        for value in line["values"]:
            self.client.send(line["to"], value)
        return {}

    def subscribe(self, line: Line) -> Line:
        self._messages.subscribe(line)
        self.client.ready()
        return {}

    def publish(self, line: Line) -> Line:
        for value in line["values"]:
            self.client.publish(line["topic"], value)
        return {}

    def messages(self, line: Line) -> Line:
        return self._messages.of(line)

    def status(self, line: Line) -> Line:
        return {"status": self.monitor.status()}

    def obey(self, line: Line) -> None:
        try:
            answer = getattr(self, line["do"])(line)
        except Exception:
            answer = {"problem": traceback.format_exc()}
        say({"n": line["n"], **answer})


def main() -> None:
    commands = Commands()
    say({"ready": commands.client.id})
    with ThreadPoolExecutor(64) as pool:
        for text in sys.stdin:
            pool.submit(commands.obey, read(text))
    commands.client.close(0)
    commands.monitor.close(0)


if __name__ == "__main__":
    main()
