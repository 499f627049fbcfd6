"""A WSGI application on all processors: clouds start --listen 8080 --dispatch shared wsgi.py

The server is that of Python's library; any other that takes sockets which listen already will do.
"""
import socketserver
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from clouds import worker


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['PATH_INFO']} from {worker.group}.{worker.index}, generation {worker.generation}\n".encode()]


class Server(socketserver.ThreadingMixIn, WSGIServer):
    """Its own listener is another; what it has accepted is answered before server_close() returns."""
    daemon_threads = False

    def __init__(self, listener):
        super().__init__(("", 0), WSGIRequestHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()[:2]
        self.setup_environ()
        self.set_app(app)


# The end of this worker waits for the transaction, and so for server_close().
with worker.transact(), Server(worker.listeners()[0]) as server:
    worker.on("drain", lambda reason, seconds: server.shutdown())
    server.serve_forever()
