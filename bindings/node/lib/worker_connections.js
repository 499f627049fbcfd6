// The connections of a worker: who takes them, what is under way, and how they end.
'use strict';

const http = require('http');
const https = require('https');
const net = require('net');
const addon = require('./native');
const { clearTimeout, setTimeout } = require('./clock');
const { Accepted, Requests } = require('./worker_requests');

const { TAKE_CONNECTIONS, CONNECTION_BACK, CONNECTIONS, REMAIN } = addon.shape.worker;
const IDLE = 2000; // ms that a connection may wait for its next request when nobody goes on with it

const isHttp = (server) => server instanceof http.Server || server instanceof https.Server;

class Connections {
  constructor(ports) {
    this.isSolo = true;
    this.ports = ports; // by the number of a listener
    this._taker = undefined;
    this._requests = new Map(); // of servers of HTTP that were takers
    this._open = new Map(); // socket -> the number of its listener
    this._remain = undefined; // undefined: the program does not count
    this._check = () => {};
  }

  // A server, or a function of a socket and a port. handover: whether others may go on with connections of a server of HTTP.
  beTakenBy(taker, { handover = true } = {}) {
    if (typeof taker !== 'function' && !(taker instanceof net.Server))
      throw new TypeError('clouds: expected a server of http, https, tls or net, or a function of a socket and a port');
    if (typeof handover !== 'boolean') throw new TypeError('clouds: handover: expected true or false');
    if (this.isSolo) return;
    if (!this._taker) addon.workerTake(TAKE_CONNECTIONS);
    this._taker = taker;
    if (isHttp(taker) && !this._requests.has(taker)) this._requests.set(taker, new Requests(taker, handover ? (socket) => this._give(socket) : null));
  }

  // As a server of Node makes one of what it accepts.
  _socketOf(fd) {
    const { allowHalfOpen, highWaterMark, noDelay, keepAlive, keepAliveInitialDelay, pauseOnConnect } = this._taker;
    const socket = new Accepted({ fd, allowHalfOpen, highWaterMark, manualStart: pauseOnConnect, readable: true, writable: true });
    if (noDelay) socket.setNoDelay(true);
    if (keepAlive) socket.setKeepAlive(true, keepAliveInitialDelay);
    return socket;
  }

  // Another worker goes on with it, if that can be said now; the end of the socket here is not that of the connection.
  _give(socket) {
    const fd = socket._handle ? socket._handle.fd : -1;
    if (!this._open.has(socket) || fd < 0 || !addon.workerGiveBack(this._open.get(socket), fd)) return;
    socket.destroy();
  }

  arrive(fd, number, flags) {
    const socket = this._socketOf(fd);
    this._open.set(socket, number);
    socket.once('close', () => {
      this._open.delete(socket);
      addon.workerCount(CONNECTIONS, -1);
      this._check();
    });
    if (typeof this._taker === 'function') this._taker(socket, this.ports[number]);
    else this._taker.emit('connection', socket);
    const requests = this._requests.get(this._taker);
    if (requests && flags & CONNECTION_BACK) requests.awaitsNext(socket);
  }

  // ---- what is under way

  change(remain) {
    const change = Math.max(0, remain) - (this._remain || 0);
    this._remain = Math.max(0, remain);
    if (!this.isSolo) addon.workerCount(REMAIN, change);
    this._check();
  }

  transact() {
    this.change((this._remain || 0) + 1);
  }

  release(remain) {
    if (remain !== undefined && !(Number.isInteger(remain) && remain >= 0))
      throw new TypeError('clouds: expected how many things remain, a whole number');
    this.change(remain === undefined ? (this._remain || 0) - 1 : remain);
  }

  // ---- the end

  // When none is open, or nothing is under way where that is counted; what is open then, or after so many ms, is ended.
  // hasSuccessor: others serve on.
  async drain(milliseconds, hasSuccessor) {
    this._wait = Math.min(IDLE, milliseconds / 2);
    for (const requests of this._requests.values())
      if (hasSuccessor && requests.give) requests.handOver(milliseconds / 2);
      else requests.end(this._wait);
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this._check = () => {
        if (this._remain === undefined ? this._open.size > 0 : this._remain > 0) return;
        clearTimeout(timer);
        resolve();
      };
      this._check();
    });
    this._check = () => {};
    for (const socket of this._open.keys()) socket.destroySoon();
  }

  // Nobody serves on any more.
  keep() {
    for (const requests of this._requests.values()) requests.keep(this._wait);
  }
}

module.exports = { Connections };
