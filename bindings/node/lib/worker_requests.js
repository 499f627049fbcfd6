// The connections of a server of HTTP whose requests come to a worker: what is counted, and how they end.
//
// Where other workers serve on, a connection that waits for its next request is given to one of them: its descriptor travels, and
// what its client sends meanwhile waits in the kernel. Nothing of a request may have been read here, for that would be lost. Who
// waits is known to Node alone, which tells it by what closeIdleConnections() destroys.
'use strict';

const net = require('net');
const tls = require('tls');
const addon = require('./native');
const { clearInterval, setImmediate, setInterval, setTimeout } = require('./clock');

const { REQUESTS, IN_FLIGHT, ERRORS } = addon.shape.worker;
const FAULT = 500; // a status from which on a request counts as an error
const SOONER = 0.9; // than Node
const AGAIN = 20; // ms until it is tried again to give what could not be given

let idle = null; // those that Node would destroy, while it is asked

class Accepted extends net.Socket {
  destroy(error) {
    if (!idle) return super.destroy(error);
    idle.push(this);
    return this;
  }
}

function findIdle(server) {
  idle = [];
  try {
    server.closeIdleConnections();
    return idle;
  } finally {
    idle = null;
  }
}

// Requests are counted, and the last one of a connection says so when the worker ends. Node looks after the time that a client takes
// only in servers that listen.
class Requests {
  // give(socket): whether another worker has the connection now; null: none is given.
  constructor(server, give) {
    this.server = server;
    this.give = server instanceof tls.Server ? null : give; // what is encrypted is known here alone
    this.isEnding = this.endsIdle = false;
    this.open = new Map(); // response -> its socket
    this.silent = new Set(); // sockets that have had no request
    this.returned = new Set(); // of these: sockets that another worker had
    server.prependListener('request', (request, response) => this.begin(request.socket, response));
    server.prependListener(server instanceof tls.Server ? 'secureConnection' : 'connection', (socket) => {
      this.silent.add(socket);
      socket.once('close', () => this.silent.delete(socket) && this.returned.delete(socket));
    });
    server.emit('listening');
  }

  // Another worker had this connection: it waits for its next request as if it had been here. Node would say 408 when the head of
  // one has not come in time, which the client would take for the answer to what it sends just then.
  awaitsNext(socket) {
    const { keepAliveTimeout, headersTimeout, requestTimeout } = this.server;
    const limits = [keepAliveTimeout, headersTimeout * SOONER, requestTimeout * SOONER].filter((ms) => ms > 0);
    if (limits.length === 0) return;
    this.returned.add(socket);
    socket.setTimeout(Math.min(...limits));
  }

  begin(socket, response) {
    if (this.returned.delete(socket)) socket.setTimeout(this.server.timeout);
    this.silent.delete(socket);
    this.open.set(response, socket);
    addon.workerCount(REQUESTS, 1);
    addon.workerCount(IN_FLIGHT, 1);
    if (this.isEnding) response.setHeader('Connection', 'close');
    response.once('close', () => {
      this.open.delete(response);
      addon.workerCount(IN_FLIGHT, -1);
      if (response.statusCode >= FAULT) addon.workerCount(ERRORS, 1);
      if (this.gives) setImmediate(() => this.leave());
      if (this.endsIdle) setImmediate(() => this.server.closeIdleConnections());
    });
  }

  // Each connection has its last request; those that wait for one have so many ms more.
  end(wait) {
    this.isEnding = true;
    for (const response of this.open.keys()) if (!response.headersSent) response.setHeader('Connection', 'close');
    setTimeout(() => {
      this.endsIdle = true;
      this.server.closeIdleConnections();
      for (const socket of this.silent) if (socket.bytesRead === 0 || socket.encrypted) socket.destroySoon();
    }, wait).unref();
  }

  // Connections that wait for a request are given to other workers, now and when what has begun is answered. After so many ms those
  // that are left have their last request.
  handOver(patience) {
    this.gives = true;
    this.leave();
    this.again = setInterval(() => this.leave(), AGAIN).unref();
    setTimeout(() => this.gives && this.end(0), patience).unref();
  }

  leave() {
    if (!this.gives) return;
    const answered = new Set(this.open.values());
    for (const socket of findIdle(this.server))
      if (!answered.has(socket) && socket.writableLength === 0) this.give(socket);
    for (const socket of this.silent) if (socket.bytesRead === 0) this.give(socket);
  }

  // Nobody goes on with them any more.
  keep(wait) {
    if (!this.gives) return;
    this.gives = false;
    clearInterval(this.again);
    this.end(wait);
  }
}

module.exports = { Accepted, Requests };
