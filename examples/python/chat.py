"""One person in the chat of examples/lua/chat.lua, beside those at its gateway: says in a room what comes from standard
input, and prints what is said there.

    clouds run chat.lua room lobby &
    python3 chat.py NAME ROOM [ADDRESS]
"""
import sys

import clouds


def show(line):
    sys.stdout.write(line + "\n")  # at once: both threads print
    sys.stdout.flush()


def chat(name, room, *address):
    with clouds.Client(*address, timeout=2) as client:

        @client.subscribe(f"chat.{room}.said", f"chat.{room}.joined")
        def heard(value, message):
            if message.missed:
                show(f"* {message.missed} lines are missing")
            joined = message.topic.endswith(".joined")
            show(f"* {value['who']} joined" if joined else f"{value['who']}: {value['text']}")

        def ask(what, *words):
            try:
                client.call(f"chat.{room}.{what}", name, *words)
            except clouds.Error as error:
                show(f"* {error.message}")

        client.ready()
        ask("join")
        for line in sys.stdin:
            ask("say", line.rstrip("\n"))


if len(sys.argv) < 3:
    sys.exit(f"usage: {sys.argv[0]} NAME ROOM [ADDRESS]")
chat(*sys.argv[1:])
