"""A server of lines on all processors: clouds start --listen 7000 lines.py, then: nc localhost 7000

The master accepts, and gives a connection to the worker that has the fewest. What is said comes back; "news TEXT" is heard by
everybody on all workers.
"""
import asyncio

from clouds import worker

clients = set()


async def news(text, group, index):
    for client in clients:
        client.write(f"{group}.{index} says: {text}\n".encode())


async def drain(reason, seconds):
    for client in clients:
        client.write(f"this worker ends: {reason}\n".encode())
        client.close()


async def serve(sock, port):
    reader, writer = await asyncio.open_connection(sock=sock)
    clients.add(writer)
    worker.set(clients=len(clients))
    try:
        while line := await reader.readline():
            if line.startswith(b"news "):
                worker.send(worker.group, line[5:].decode().rstrip())
            else:
                writer.write(line)
                await writer.drain()
    except ConnectionError:
        pass
    finally:
        clients.discard(writer)
        worker.set(clients=len(clients))
        writer.close()


async def main():
    worker.on("message", news)  # here, so that they run in this loop
    worker.on("drain", drain)
    worker.ready(serve)
    await asyncio.Event().wait()


asyncio.run(main())
