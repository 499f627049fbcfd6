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

const { READY, STOPPING, ALIVE, RETIRE, RELOAD, VARIABLES, DRAIN, QUIET, ASK, MESSAGE } = addon.shape.worker;
const CUT = addon.shape.exits.UNKNOWN; // of one that had to be cut
const USUAL_DRAIN = 8; // seconds
const SECOND = 1000; // ms between two times that variables are told
const MOST = 0xffffffff; // of an index
const ONE_SIGNAL = 1000; // ms; the kernel sends one for each thread of a master that is killed
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
    this._isReady = this._isHeld = false;
    this._registering = 0;
    this._signaledAt = 0;
    this._seconds = USUAL_DRAIN;
    this._variables = {};
    this._telling = null;
    this._toldAt = -SECOND;
  }

  /** Says that this worker serves. Without it that is said when what was registered is. */
  ready() {
    if (this._isReady) return;
    this._isReady = true;
    if (this.solo) return;
    addon.workerHold();
    addon.workerTell(READY, '');
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
    this._drain(this._seconds);
  }

  // ---- what servers tell of their registrations

  // A registration has begun; what is to be called with its error when it has ended.
  _registers() {
    this._registering++;
    return (error) => {
      this._registering--;
      if (this.solo || this._isReady || this._isHeld || this.draining) return;
      if (error) this._fail(error);
      else setImmediate(() => this._registering === 0 && !this._isHeld && this.ready());
    };
  }

  // What this worker is for cannot be: it ends, and the master says why.
  _fail(error) {
    process.stderr.write(`the worker cannot serve: ${printable(`${error.code}: ${error.message}`)}\n`);
    process.exit(addon.shape.exits.ERROR);
  }

  // ---- the channel

  _open() {
    if (!addon.workerOpen((...told) => this._told(...told))) return;
    this.solo = false;
    delete process.env.CLOUDS_CHANNEL;
    this._seconds = numberOf('CLOUDS_DRAIN', USUAL_DRAIN);
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {}); // the master may be gone
    process.on('SIGTERM', () => this._signaled());
    process.on('SIGUSR2', () => {}); // by which the master asks who hangs for a traceback, which Node does not have
    process.on('exit', (code) => this._exits(code));
  }

  _told(type, number, seconds, group, data) {
    if (type === DRAIN) this._drain(seconds);
    else if (type === QUIET) this._beQuiet(number === 1);
    else if (type === ASK) addon.workerTell(ALIVE, '');
    else if (type === MESSAGE) this.emit('message', JSON.parse(data), group, number);
  }

  _beQuiet(yes) {
    for (const node of nodes()) if (serves(node)) node._setPaused(yes).catch(() => {});
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

  async _drain(seconds) {
    if (this.draining) return;
    this.draining = true;
    const until = now() + seconds * 1000;
    setTimeout(() => process.exit(CUT), (seconds + MARGIN) * 1000);
    await this._run('drain', seconds, until);
    const left = () => Math.max(0, until - now()) / 1000;
    await Promise.all(nodes().filter(serves).map((node) => node.exitP({ drain: left() }).catch(() => {})));
    await this._run('stop', undefined, until);
    process.exit();
  }

  // Listeners may give promises, which are waited for until the drain is over.
  async _run(event, argument, until) {
    let timer;
    const over = new Promise((resolve) => {
      timer = setTimeout(resolve, Math.max(0, until - now()));
    });
    const one = async (fn) => fn.call(this, argument);
    const failed = (error) => warnNow(`a listener of '${event}' of the worker failed: ${printable((error && error.stack) || error, true)}`);
    await Promise.race([Promise.all(this.rawListeners(event).map((fn) => one(fn).catch(failed))), over]);
    clearTimeout(timer);
  }
}

const worker = new Worker();
if (isMainThread && process.env.CLOUDS_CHANNEL) worker._open();

module.exports = worker;
