// What the package has to say: warnings of the process, and lines for DEBUG=clouds:* in the way of the package debug.
'use strict';

const { shape } = require('./native');
const { now } = require('./clock');

const LEVELS = shape.logLevels;
const WARN = shape.LOG_WARN;

const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

/** Text from elsewhere, for a terminal: without control characters; lines stay lines where they may. */
function printable(text, lines) {
  return String(text).replace(CONTROL, (c) =>
    lines && (c === '\n' || c === '\t') ? c : '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0')
  );
}

let isEnding = false; // what the process would do in a further turn is not done

process.on('exit', () => {
  isEnding = true;
});

/** A warning of the process: on standard error, or to its listeners of 'warning'. */
function warn(text, detail) {
  if (isEnding) process.stderr.write(`(${process.release.name}:${process.pid}) CloudsWarning: ${text}\n${detail ? detail + '\n' : ''}`);
  else process.emitWarning(text, { type: 'CloudsWarning', detail });
}

const MANY = 1000;
const MINUTE = 60000;
const warned = new Map(); // text -> when

function warnAgain(text, period) {
  const before = warned.get(text);
  if (before !== undefined && now() - before < period) return;
  if (warned.size >= MANY) warned.delete(warned.keys().next().value);
  warned.set(text, now());
  warn(text);
}

/** The same text once only. */
const warnOnce = (text) => warnAgain(text, Infinity);

/** The same text once a minute: several nodes of a process lose the same server at once. */
const warnNow = (text) => warnAgain(text, MINUTE);

// ---- DEBUG

function patternsOf(setting) {
  const all = String(setting || '').split(/[\s,]+/).filter(Boolean);
  const made = (text) => new RegExp(`^${text.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*?')}$`);
  return {
    wanted: all.filter((text) => text[0] !== '-').map(made),
    unwanted: all.filter((text) => text[0] === '-').map((text) => made(text.slice(1))),
  };
}

const patterns = patternsOf(process.env.DEBUG);

/** Does DEBUG ask for this name? */
function isWanted(name) {
  return patterns.wanted.some((each) => each.test(name)) && !patterns.unwanted.some((each) => each.test(name));
}

let last = 0;

/** A line of `name` on standard error, which isWanted. */
function debug(name, text) {
  const at = now(),
    since = last ? Math.round(at - last) : 0;
  last = at;
  const head = process.stderr.isTTY ? '' : new Date().toISOString() + ' ';
  process.stderr.write(`${head}${name} ${printable(text)}${process.stderr.isTTY ? ` +${since}ms` : ''}\n`);
}

module.exports = { LEVELS, WARN, printable, warn, warnOnce, warnNow, isWanted, debug };
