#!/usr/bin/env python3
"""Writes docs/CONFIGURATION.md from the library's own tables: configuration.py LIBRARY FILE, or with --check compares."""
import argparse
import ctypes
import os
import sys

COUNTERS = {
    "calls": "calls accepted",
    "results": "calls that completed",
    "timeouts": "attempts that timed out",
    "retries": "further attempts that the caller had allowed",
    "failovers": "attempts that went to another server by themselves",
    "late_answers": "answers that came after their call had ended",
    "foreign_answers": "answers to no call of ours",
    "requests": "requests accepted",
    "replies": "requests answered",
    "expired_requests": "requests whose deadline had passed: not started",
    "refused_requests": "requests refused: no such method, draining, overload",
    "messages_in": "messages received",
    "messages_out": "messages sent",
    "broken_input": "things received that were broken, and dropped",
    "limit_hits": "times a limit was reached",
    "lookups": "lists of servers asked for",
    "reconnects": "connections made again after a loss",
    "overdue_requests": "requests that were begun and not answered before their deadline",
    "canceled_requests": "requests whose caller gave up before they were answered, and said so",
    "lost_answers": "answers and refusals that could not be sent",
    "breaker_opens": "servers left alone for a while, since their calls for a method failed again and again",
    "limit_changes": "a `concurrency` that the server finds became another",
    "throttled_calls": "calls that ended here, since the servers refuse most calls (`throttle`)",
    "probes": "calls by which such a server was tried again",
    "queued_requests": "requests that waited for their turn, since a limit of their method let no more run",
    "shed_requests": "requests refused because they had waited too long for their turn",
    "rate_refusals": "requests refused because they came faster than the rate of their method or caller",
    "published": "messages published at a topic",
    "publish_drops": "published messages that were not sent to a subscriber, whose queue was full or who was not reached, or that were accepted and could not be sent at all",
    "delivered": "published messages handed to subscriptions",
    "gaps": "published messages that are missing, by their numbers",
    "lagged": "published messages dropped because a subscription did not keep up",
    "hedges": "calls that took long and were sent to a second server, too",
    "hedge_wins": "those of them that the second server answered first",
    "once_hits": "calls that repeated another, by their idempotency key, and were not executed again",
    "link_opens": "direct links that were opened from here and worked",
    "link_losses": "of those, the ones that broke",
    "link_refused": "direct links that were dialled and never worked",
    "auth_failures": "links whose other end had no key of ours",
    "link_calls": "calls that went over a direct link, beside Redis",
    "bus_calls": "calls that went by Redis although there may be direct links",
    "events": "events raised",
    "dropped_events": "events dropped because the queue was full or memory was short",
    "queue_refusals": "requests refused because the queue of events was full",
    "spans": "spans that were recorded",
    "lost_spans": "of those, the ones that nobody got: the collector was away or did not take them, or too many waited",
    "lost_results": "results that were lost because too many bytes of them waited to be taken",
}


class Info(ctypes.Structure):
    TEXTS = ("name", "type", "scope", "unit", "default_value", "help")
    _fields_ = [("size", ctypes.c_uint32), ("flags", ctypes.c_uint32), ("minimum", ctypes.c_double),
                ("maximum", ctypes.c_double)] + [(name, ctypes.c_char_p) for name in TEXTS]


def options(lib):
    info, index = Info(), 0
    info.size = ctypes.sizeof(Info)
    while lib.clouds_option_describe(index, ctypes.byref(info)) == 0:
        yield {name: getattr(info, name).decode() for name in Info.TEXTS}
        index += 1


def counters(lib):
    choice, context, name, value = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_char_p(), ctypes.c_uint64()
    lib.clouds_options_create(ctypes.byref(choice))
    lib.clouds_options_set_string(choice, b"url", b"inproc:configuration")
    if lib.clouds_context_create(choice, ctypes.byref(context)) != 0:
        sys.exit("cannot create a context")
    index, names = 0, []
    while lib.clouds_counter(context, None, index, ctypes.byref(name), ctypes.byref(value)) == 0:
        names.append(name.value.decode())
        index += 1
    lib.clouds_context_destroy(context)
    lib.clouds_options_destroy(choice)
    return names


def changeable(lib, names):
    """Which options clouds_node_configure takes, as it says itself."""
    context, node, answer = ctypes.c_void_p(), ctypes.c_void_p(), set()
    if lib.clouds_open(b"inproc:configuration", None, ctypes.byref(context), ctypes.byref(node)) != 0:
        sys.exit("cannot create a node")
    for name, value in names:
        choice = ctypes.c_void_p()
        lib.clouds_options_create(ctypes.byref(choice))
        lib.clouds_options_set_string(choice, name.encode(), value.encode())
        if lib.clouds_node_configure(node, choice) == 0:
            answer.add(name)
        lib.clouds_options_destroy(choice)
    lib.clouds_context_destroy(context)
    return answer


def table(rows, live=None):
    columns = ["option", "type", "unit", "default", *(["changes"] if live is not None else []), "meaning"]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for r in rows:
        default = f"`{r['default_value']}`" if r["default_value"] else ""
        mark = "" if live is None else " yes |" if r["name"] in live else "  |"
        lines.append(f"| `{r['name']}` | {r['type']} | {r['unit']} | {default} |{mark} {r['help']} |")
    return lines


def document(lib):
    rows = list(options(lib))
    names = counters(lib)
    if set(names) != set(COUNTERS):
        sys.exit(f"describe these counters in tools/configuration.py: {set(names) ^ set(COUNTERS)}")
    lines = ["# Configuration", "",
             "Made from the library's option table by `tools/configuration.py`; a test compares it. Options are set by name with",
             "`clouds_options_set_string`, `_number` and `_bool`; a text that is a number will do for a number. One set may serve a",
             "context and a node: each takes what is of its scope.", "",
             "`heartbeat`, `timeout` and `server_max_age` that are not above 0 mean the default, as in the original; periods beyond",
             "2147483 seconds are that long. Everything else out of range is `CLOUDS_EOPTION`, and `clouds_last_error` says what was",
             "expected.", "", "## Options of a context", ""]
    lines += table(r for r in rows if r["scope"] == "context")
    of_node = [r for r in rows if r["scope"] == "node"]
    lines += ["", "## Options of a node", "",
              "Those marked under *changes* can be changed while the node lives, by `clouds_node_configure`.", ""]
    lines += table(of_node, changeable(lib, [(r["name"], r["default_value"]) for r in of_node]))
    lines += ["", "## Counters of a context", "", "Read with `clouds_counter`, by name or by number.", "",
              "| counter | counts |", "|---|---|"]
    lines += [f"| `{name}` | {COUNTERS[name]} |" for name in names]
    return "\n".join(lines) + "\n"


def main():
    arguments = argparse.ArgumentParser(description="Makes docs/CONFIGURATION.md from what the library says of itself.")
    arguments.add_argument("--check", action="store_true", help="only compare")
    arguments.add_argument("library", help="a libclouds.so")
    arguments.add_argument("path", help="the file")
    chosen = arguments.parse_args()
    library, path = chosen.library, chosen.path
    ctypes.CDLL(None)
    lib = ctypes.CDLL(os.path.abspath(library))
    lib.clouds_context_destroy.argtypes = lib.clouds_options_destroy.argtypes = [ctypes.c_void_p]
    lib.clouds_options_set_string.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
    lib.clouds_context_create.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    lib.clouds_open.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p]
    lib.clouds_node_configure.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    lib.clouds_counter.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p]
    text = document(lib)
    if not chosen.check:
        open(path, "w").write(text)
    elif open(path).read() != text:
        sys.exit(f"{path} is not up to date: run tools/configuration.py {library} {path}")


main()
