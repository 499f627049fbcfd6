"""An ASGI application on all processors, by uvicorn: clouds start --listen 8080 --dispatch shared asgi.py

At the end of a worker uvicorn gets SIGTERM, and answers what it has accepted.
"""
import uvicorn

from clouds import worker


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    text = f"{scope['path']} from {worker.group}.{worker.index}, generation {worker.generation}\n"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})


uvicorn.Server(uvicorn.Config(app, lifespan="off")).run(sockets=worker.listeners())
