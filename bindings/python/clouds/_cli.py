"""The commands call, send and status of the program `clouds`, with the same words, output and exit codes."""
import argparse
import asyncio
import base64
import json
import os
import sys
from typing import Any, Awaitable, Callable, Dict, List, NoReturn, Optional, Tuple

from clouds import _abi, aio
from clouds._error import FACTS, Error
from clouds._faults import escaped
from clouds._library import lib, version
from clouds._options import default_url
from clouds._values import Values, encode, whole

OK, USAGE, UNREACHABLE = _abi.CLOUDS_EXIT_OK, _abi.CLOUDS_EXIT_USAGE, _abi.CLOUDS_EXIT_UNREACHABLE
ERROR = _abi.CLOUDS_EXIT_ERROR
PROGRAM = "python3 -m clouds"
_BASE64 = "$base64"
CLOSE_TIME = 0.25  # seconds: a command serves nothing, so nobody misses anything when it ends before all have heard
EPILOG = ("exit codes: 0 done; 1 the service answered with an error, or the output could not be written; "
          "2 wrong usage; 3 nothing was executed (no server, not connected); "
          "4 timeout or connection lost: it may have been executed")


class Usage(Exception):
    """The command line was wrong, and this says what was expected."""


# ---- output

def write(text: str) -> None:
    """Writes a line, in a form that no terminal obeys."""
    if sys.stdout.isatty():
        text = "\n".join(map(escaped, text.split("\n")))
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_error(text: str) -> None:
    """One line on standard error."""
    print(escaped(text), file=sys.stderr)


def shown(value: Any) -> Any:
    """A value in which {"$base64": "..."} stands for bytes."""
    if isinstance(value, bytes):
        return {_BASE64: base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [shown(item) for item in value]
    return {name: shown(item) for name, item in value.items()} if isinstance(value, dict) else value


def json_text(value: Any) -> str:
    """A value as JSON in one line."""
    return encode(shown(value)).decode()


def exit_code(problem: Error) -> int:
    """What an error means for who started the command."""
    return int(lib.clouds_exit_code(problem.number, _abi.OUTCOMES.index(problem.outcome)))


def fail(problem: Error, as_json: bool = False) -> int:
    """Prints an error; the exit code."""
    if as_json:
        facts = {name: getattr(problem, name) for name in FACTS}
        known = {name: fact for name, fact in facts.items() if fact is not None}
        write(json_text({"error": {**known, **problem.more, "code": problem.code, "message": problem.message,
                                   "outcome": problem.outcome}}))
    print_error(f"{problem.code}: {problem.message}")
    return exit_code(problem)


# ---- input

def first_line(option: str, path: str) -> str:
    """The first line of a file that an option names."""
    try:
        with open(path, encoding="utf-8") as file:
            line = file.readline().strip()
    except (OSError, UnicodeError) as problem:
        raise Usage(f"--{option}: {problem}") from None
    if not line:
        raise Usage(f"--{option}: {path} is empty, expected a text in its first line")
    return line


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _bytes_of(found: Dict[str, Any]) -> Any:
    if list(found) == [_BASE64] and isinstance(found[_BASE64], str):
        try:
            return base64.b64decode(found[_BASE64], validate=True)
        except ValueError:
            pass
    return found


def values_of(words: List[str], as_text: bool) -> List[Any]:
    """The arguments as values."""
    made = []
    for word in words:
        try:
            word.encode()
            made.append(word if as_text else json.loads(word, parse_int=whole,
                                                              parse_constant=_no_constant, object_hook=_bytes_of))
        except UnicodeEncodeError:
            raise Usage(f"argument {word!r} is not UTF-8") from None
        except ValueError as problem:
            raise Usage(f"argument '{word}' is not JSON ({problem}); text needs quotes: '\"{word}\"', "
                        "or use --string") from None
    return made


def node_options(given: argparse.Namespace) -> Tuple[str, Dict[str, Any]]:
    """The address and the other options of the node."""
    url = given.url
    if url is None and given.url_file is not None:
        url = first_line("url-file", given.url_file)
    # The log is off since this program prints what fails.
    return url or default_url(), {"log_level": "off", "password_file": given.password_file, "sentinel_user": given.sentinel_user,
                                  "sentinel_password_file": given.sentinel_password_file}


# ---- the commands

async def call(node: Any, given: argparse.Namespace) -> int:
    """Calls a method and prints the values that it returns."""
    values = values_of(given.JSON, given.string)
    options = {name: getattr(given, name) for name in ("timeout", "deadline", "retry", "server", "once")}
    result = await node.call(given.METHOD, *values, **options)
    several = list(result) if isinstance(result, Values) else [result]
    if given.json:
        write(json_text(several))
    elif several:
        write("\n".join(map(json_text, several)))
    return OK


async def send(node: Any, given: argparse.Namespace) -> int:
    """Sends a message to a node: fire and forget."""
    count = await node.send(given.NODE, values_of([given.JSON], given.string)[0], confirm=True, timeout=given.timeout)
    if count != 0:
        return OK
    print_error(f"clouds send: no one received it: there is no node '{given.NODE}'")
    return UNREACHABLE if given.strict else OK


def _shown_server(server: str, method: str, states: Dict[str, Any]) -> str:
    """The id of a server, with its weight when that is not 1, and whether it is paused for the method."""
    state = states.get(server, {"weight": 1, "paused": ()})
    weight = "" if state["weight"] == 1 else f"*{state['weight']}"
    return escaped(server) + weight + ("(paused)" if method in state["paused"] else "")


async def status(node: Any, given: argparse.Namespace) -> int:
    """Shows which servers serve which methods."""
    found = await node.status(given.timeout)
    if given.json:
        write(json_text(found))
        return OK
    names = sorted(found["methods"])
    if not names:
        write("no services")
        return OK
    shown = {name: escaped(name) for name in names}
    width = max(map(len, ("METHOD", *shown.values())))
    lines = [f"{'METHOD':{width}}  SERVERS  IDS"]
    states = found.get("states", {})
    lines += [f"{shown[name]:{width}}  {len(found['methods'][name]):7}  "
              f"{' '.join(sorted(_shown_server(one, name, states) for one in found['methods'][name]))}" for name in names]
    write("\n".join(lines))
    return OK


async def with_node(command: Callable[[Any, argparse.Namespace], Awaitable[int]], given: argparse.Namespace) -> int:
    """Runs a command. One that cannot connect says so at its first failed attempt."""
    url, options = node_options(given)
    node = (aio.Monitor if command is status else aio.Client)(url, **options)
    down: "asyncio.Future[Any]" = asyncio.get_running_loop().create_future()
    connected: List[bool] = []

    def not_connected(problem: Error) -> None:
        if not connected and not down.done():
            down.set_result(problem)
    node.on("up", lambda: connected.append(True))
    node.on("down", not_connected)
    working = asyncio.ensure_future(command(node, given))
    try:
        await asyncio.wait([working, down], return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else fail(down.result(), getattr(given, "json", False))
    except Error as problem:
        return fail(problem, getattr(given, "json", False))
    finally:
        working.cancel()
        await asyncio.wait([asyncio.ensure_future(node.close(0))], timeout=CLOSE_TIME)


# ---- the command line

def seconds(text: str) -> float:
    """A number of seconds."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError
    return number


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--url", help="the cluster (default: the environment's CLOUDS_URL, else local:)")
    common.add_argument("--url-file", metavar="FILE", help="read the URL from FILE")
    common.add_argument("--password-file", metavar="FILE", help="read the password for Redis from FILE")
    common.add_argument("--sentinel-user", metavar="NAME", help="the user at the sentinels, if they have one of their own")
    common.add_argument("--sentinel-password-file", metavar="FILE", help="read the password for the sentinels from FILE")
    return common


_Command = Callable[[Any, argparse.Namespace], Awaitable[int]]
_COMMANDS: Dict[str, _Command] = {"call": call, "send": send, "status": status}


def parser_of(name: str) -> argparse.ArgumentParser:
    """What a command takes."""
    one = argparse.ArgumentParser(prog=f"{PROGRAM} {name}", parents=[_common()], description=_COMMANDS[name].__doc__,
                                  epilog=EPILOG, allow_abbrev=False)
    if name != "status":
        one.add_argument("-s", "--string", action="store_true", help="take what is sent as plain text instead of JSON")
    if name != "send":
        one.add_argument("--json", action="store_true", help="print JSON in one line; an error of a call too")
    limit = "longest wait for one attempt (default 60)" if name == "call" else "longest wait (default 10)"
    one.add_argument("-t", "--timeout", type=seconds, default=None if name == "call" else 10.0, metavar="SECONDS",
                     help=limit)
    if name == "call":
        one.add_argument("-d", "--deadline", type=seconds, metavar="SECONDS", help="longest wait for everything")
        one.add_argument("-r", "--retry", type=int, metavar="COUNT",
                         help="further attempts after a timeout, or when no server is there")
        one.add_argument("--server", metavar="ID", help="ask this node and no other")
        one.add_argument("--once", metavar="KEY", help="idempotency key: who repeats the call with it within "
                         "a minute gets the same answer, and it is not executed again")
        one.add_argument("METHOD")
        one.add_argument("JSON", nargs="*")
    elif name == "send":
        one.add_argument("--strict", action="store_true", help="exit 3 when no one received it")
        one.add_argument("NODE")
        one.add_argument("JSON")
    return one


def parser() -> argparse.ArgumentParser:
    """What stands before the name of a command."""
    top = argparse.ArgumentParser(prog=PROGRAM, epilog=EPILOG, parents=[_common()], allow_abbrev=False,
                                  description="Calls services, sends messages, and shows who serves what.")
    top.add_argument("--version", action="version", version=f"clouds {version}")
    top.add_argument("COMMAND", choices=sorted(_COMMANDS), help=f"`{PROGRAM} COMMAND --help` describes it")
    top.add_argument("REST", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return top


def parse(words: Optional[List[str]]) -> argparse.Namespace:
    """Reads a command line. Options may stand before and after the name of the command, and between its operands."""
    first = parser().parse_args(words)
    given = parser_of(first.COMMAND).parse_intermixed_args(first.REST)
    for name in ("url", "url_file", "password_file", "sentinel_user", "sentinel_password_file"):
        if getattr(given, name) is None:
            setattr(given, name, getattr(first, name))
    given.command = first.COMMAND
    return given


def main(words: Optional[List[str]] = None) -> int:
    """Runs the command of a command line; the exit code."""
    given = parse(words)
    try:
        return asyncio.run(with_node(_COMMANDS[given.command], given))
    except KeyboardInterrupt:
        return 130
    except Error as problem:  # of an address or an option
        return fail(problem, getattr(given, "json", False))
    except (Usage, TypeError, ValueError) as problem:
        print_error(f"clouds {given.command}: {problem}")
        return USAGE
    except BrokenPipeError:  # its reader is gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return ERROR
    except OSError as problem:
        print_error(f"clouds: cannot write the output: {problem}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return ERROR
