// This process as a worker of `clouds start`: what its master tells it, and what it tells its master. It is asked on the loop
// whether it is there, so a loop that does not come to its turn is what hangs.
'use strict';

const { EventEmitter } = require('events');
const { isMainThread } = require('worker_threads');
const addon = require('./native');
const { nodes } = require('./bridge');
const { clearTimeout, now, setImmediate, setTimeout } = require('./clock');
const { adopt } = require('./errors');
const { encode } = require('./json');
const { printable, warnNow } = require('./log');
const { Connections } = require('./worker_connections');
const { Repetitions, Turns } = require('./worker_turns');

const { READY, STOPPING, ALIVE, RETIRE, RELOAD, VARIABLES, DRAIN, QUIET, ASK, MESSAGE, CONNECTION, TURN } = addon.shape.worker;
const CUT = addon.shape.exits.UNKNOWN; // of one that had to be cut
const USUAL_DRAIN = 8; // seconds
const SECOND = 1000; // ms between two times that variables are told
const MOST = 0xffffffff; // of an index
const ONE_SIGNAL = 1000; // ms; the kernel sends one for each thread of a master that is killed
const SERVE_ON = ['reload', 'retire', 'scale']; // why a worker ends while others do not
const MARGIN = 1; // seconds beyond the drain that the end of the process may take

function numberOf(name, otherwise) {
  const text = process.env[name];
  return text && Number.isFinite(Number(text)) ? Number(text) : otherwise;
}

// What the library refuses is an error of the package.
function within(fn) {
  try {
    fn();
  } catch (error) {
    throw adopt(error);
  }
}

const serves = (node) => Boolean(node && node._services && node._services.size > 0 && !node._exiting);

class Worker extends EventEmitter {
  constructor() {
    super();
    this.solo = true;
    this.index = numberOf('CLOUDS_WORKER', 1);
    this.count = numberOf('CLOUDS_WORKERS', 1);
    this.generation = numberOf('CLOUDS_GENERATION', 1);
    this.group = process.env.CLOUDS_GROUP || '';
    this.app = process.env.CLOUDS_APP || '';
    this.draining = false;
    this._isReady = this._isHeld = this._hasSuccessor = false;
    this._registering = 0;
    this._signaledAt = 0;
    this._seconds = USUAL_DRAIN;
    this._connections = new Connections(JSON.parse(process.env.CLOUDS_LISTEN || '{}'));
    this._turns = new Turns();
    this._repetitions = new Repetitions();
    this._variables = {};
    this._telling = null;
    this._toldAt = -SECOND;
  }

  /** Says that this worker serves, and who takes its connections: a server of http, https, tls or net, or a function of a socket and
   * a port. Without it that is said when what was registered is. handover: false of a server of http: when the worker ends, none of
   * its connections goes on with another. */
  ready(taker, options) {
    within(() => {
      if (taker !== undefined) this._connections.beTakenBy(taker, options);
      if (!this._isReady && !this.solo) addon.workerTell(READY, '');
    });
    if (!this._isReady && !this.solo) addon.workerHold();
    this._isReady = true;
  }

  /** Where its connections come from: ports, and 'unix:PATH'. */
  get ports() {
    return Object.values(this._connections.ports);
  }

  /** One more thing is under way, until release(). From the first on this counts, and no longer open connections. */
  transact() {
    this._connections.transact();
  }

  /** One thing less is under way; or there are so many. */
  release(remain) {
    this._connections.release(remain);
  }

  /** Runs fn while no other worker of the group runs such a function: a promise for what it gives. */
  serial(fn) {
    if (typeof fn !== 'function') throw new TypeError('clouds: expected a function');
    return this._turns.run(fn);
  }

  /** Calls fn every so many seconds, and not again before it has ended, until nobody is served any more or stop() of what it gives. */
  every(seconds, fn) {
    return this._repetitions.begin(seconds, fn);
  }

  /** It is not ready before ready(). */
  hold() {
    this._isHeld = true;
  }

  /** Sends a value to the worker of a group with this index, or to all of it: each hears of it as 'message'. */
  send(group, value, index = 0) {
    if (typeof group !== 'string' || !Number.isInteger(index) || index < 0 || index > MOST)
      throw new TypeError('clouds: expected the name of a group, a value, and the index of a worker in it');
    const data = encode(value);
    if (!this.solo) within(() => addon.workerSend(group, index, data));
  }

  /** Says something of this worker, by name, for `clouds ps --json`. null takes a name back. */
  set(name, value) {
    if (value === null || value === undefined) delete this._variables[name];
    else this._variables[String(name)] = JSON.parse(encode(value));
    if (this.solo || this._telling) return;
    this._telling = setTimeout(() => {
      this._telling = null;
      this._toldAt = now();
      within(() => addon.workerTell(VARIABLES, encode(this._variables)));
    }, Math.max(0, this._toldAt + SECOND - now()));
    this._telling.unref();
  }

  /** Asks to be replaced: when another worker is ready, this one ends in order. */
  retire() {
    if (!this.solo) addon.workerTell(RETIRE, '');
  }

  /** Asks for a reload of a group, or of everything. */
  reload(group = '') {
    if (!this.solo) within(() => addon.workerTell(RELOAD, String(group)));
  }

  /** Ends this worker in order; the master starts another at once. */
  stop() {
    if (this.solo || this.draining) return;
    addon.workerTell(STOPPING, '');
    this._drain('signal', this._seconds);
  }

  // ---- what servers tell of their registrations

  // A registration has begun; what is to be called with its error when it has ended.
  _registers() {
    this._registering++;
    return (error) => {
      this._registering--;
      if (this.solo || this._isReady || this._isHeld || this.draining) return;
      if (error) this._fail(error);
      else setImmediate(() => this._registering === 0 && !this._isHeld && this._isRegistered());
    };
  }

  _isRegistered() {
    try {
      this.ready();
    } catch (error) {
      process.stderr.write(`the worker is not ready: ${printable(error.message)}: expected worker.ready(server)\n`);
    }
  }

  // What this worker is for cannot be: it ends, and the master says why.
  _fail(error) {
    process.stderr.write(`the worker cannot serve: ${printable(`${error.code}: ${error.message}`)}\n`);
    process.exit(addon.shape.exits.ERROR);
  }

  // ---- the channel

  _open() {
    this._seconds = numberOf('CLOUDS_DRAIN', USUAL_DRAIN);
    if (!addon.workerOpen((...told) => this._told(...told), this._seconds + 2 * MARGIN)) return; // beyond what _drain waits for
    this.solo = this._connections.isSolo = this._turns.isSolo = false;
    delete process.env.CLOUDS_CHANNEL;
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {}); // the master may be gone
    process.on('SIGTERM', () => this._signaled());
    process.on('SIGUSR2', () => {}); // by which the master asks who hangs for a traceback, which Node does not have
    process.on('exit', (code) => this._exits(code));
  }

  _told(type, number, seconds, group, data, fd, flags) {
    if (type === DRAIN) this._drain(data, seconds);
    else if (type === CONNECTION) this._connections.arrive(fd, number, flags);
    else if (type === TURN) this._turns.given();
    else if (type === QUIET) this._beQuiet(number === 1, data || undefined);
    else if (type === ASK) addon.workerTell(ALIVE, '');
    else if (type === MESSAGE) this.emit('message', JSON.parse(data), group, number);
  }

  // Of one method, or of all.
  _beQuiet(yes, method) {
    for (const node of nodes()) if (serves(node)) node._setPaused(yes, method).catch(() => {});
  }

  // The second one ends it at once.
  _signaled() {
    this._signaledAt = this._signaledAt || now();
    if (now() - this._signaledAt > ONE_SIGNAL) process.exit(CUT);
    this.stop();
  }

  _exits(code) {
    if (code !== 0 || this._isReady || this.draining) return;
    process.stderr.write('the worker has ended before it was ready: it registers nothing, and does not call worker.ready()\n');
    process.exitCode = addon.shape.exits.ERROR;
  }

  // ---- the end

  async _drain(reason, seconds) {
    if (reason === 'stop') this._hasSuccessor = false;
    if (this.draining && reason === 'stop') this._connections.keep();
    if (this.draining) return;
    this.draining = true;
    const until = now() + seconds * 1000;
    setTimeout(() => process.exit(CUT), (seconds + MARGIN) * 1000);
    this._hasSuccessor = SERVE_ON.includes(reason);
    await this._run('drain', [reason, seconds], until);
    const left = () => Math.max(0, until - now());
    const ends = nodes().filter(serves).map((node) => node.exitP({ drain: left() / 1000 }).catch(() => {}));
    await Promise.all([...ends, this._connections.drain(left(), this._hasSuccessor)]);
    await this._repetitions.end();
    await this._run('stop', [], until);
    process.exit();
  }

  // Listeners may give promises, which are waited for until the drain is over.
  async _run(event, words, until) {
    let timer;
    const over = new Promise((resolve) => {
      timer = setTimeout(resolve, Math.max(0, until - now()));
    });
    const one = async (fn) => fn.apply(this, words);
    const failed = (error) => warnNow(`a listener of '${event}' of the worker failed: ${printable((error && error.stack) || error, true)}`);
    await Promise.race([Promise.all(this.rawListeners(event).map((fn) => one(fn).catch(failed))), over]);
    clearTimeout(timer);
  }
}

const worker = new Worker();
if (isMainThread && process.env.CLOUDS_CHANNEL) worker._open();

module.exports = worker;
