// The envelopes of the protocol, for those who bring their own connection or talk to Redis by themselves.
'use strict';

const { randomBytes } = require('crypto');
const { membersOf, adoptMembers, wordsOf, CloudsError } = require('./errors');
const { encode } = require('./json');

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

function messageId() {
  let id = '';
  for (const byte of randomBytes(8)) id += LETTERS[byte % LETTERS.length];
  return id;
}

/** Makes and reads envelopes in the name of `sender`. */
function Protocol(sender) {
  this.sender = sender;
}

Protocol.prototype._envelope = function (type, data) {
  const params = { t: type, s: this.sender, d: data };
  return { params, raw: encode(params) };
};

Protocol.prototype.packMessage = function (content) {
  return this._envelope('m', content);
};

Protocol.prototype.packCall = function (method, args) {
  return this._envelope('c', { i: messageId(), m: method, a: args });
};

Protocol.prototype.packResult = function (id, error, result) {
  return this._envelope('r', { i: id, e: error ? membersOf(error) : null, r: result === undefined ? [] : result });
};

/** { type, sender, data, raw } of the text of an envelope. Throws when it is none. */
Protocol.prototype.unpack = function (text) {
  const envelope = JSON.parse(text);
  if (envelope === null || typeof envelope !== 'object') throw new CloudsError('not an envelope', 'UNKNOWN');
  const message = { type: envelope.t, sender: envelope.s, data: envelope.d, raw: text };
  if (message.type === 'r' && message.data && message.data.e) message.data.e = errorOf(message.data.e);
  return message;
};

function errorOf(sent) {
  const members = typeof sent === 'object' ? sent : { message: String(sent) };
  const error = new Error(typeof members.message === 'string' ? members.message : wordsOf(members));
  adoptMembers(error, members, () => false);
  return error;
}

module.exports = Protocol;
