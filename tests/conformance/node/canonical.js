// The canonical text of a value (see table.py), made of JavaScript values alone.
'use strict';

function text(value) {
  let out = '"';
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    const plain = code >= 32 && code < 127 && code !== 34 && code !== 92;
    out += plain ? value[i] : '\\u' + code.toString(16).padStart(4, '0');
  }
  return out + '"';
}

function number(value) {
  if (Math.abs(value) <= 2 ** 53 && Number.isInteger(value)) return String(value === 0 ? 0 : value);
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return 'x' + bytes.toString('hex');
}

function object(value) {
  const members = Object.keys(value).map((key) => [text(key), value[key]]);
  members.sort((a, b) => (a[0] < b[0] ? -1 : 1));
  return '{' + members.map(([key, of]) => key + ':' + canonical(of)).join(',') + '}';
}

function canonical(value) {
  if (value === null || value === undefined) return 'null';
  if (Buffer.isBuffer(value)) return `bytes(${value.toString('hex')})`;
  if (typeof value === 'string') return text(value);
  if (typeof value === 'number') return number(value);
  if (Array.isArray(value)) return '[' + value.map(canonical).join(',') + ']';
  return typeof value === 'object' ? object(value) : String(value);
}

module.exports = canonical;
