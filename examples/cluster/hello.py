#!/usr/bin/env python3
"""A worker of languages.lua in Python: what run() serves is ready when it is registered, and ends in order."""
import clouds

server = clouds.Server()


@server.register("hello.python")
def hello(name):
    return f"Hello {name}, from {clouds.worker.group}.{clouds.worker.index}"


@clouds.worker.on("drain")
def drain(reason, seconds):
    print(f"{reason}: no further calls; {seconds:g} s for those that are here")


server.run()
