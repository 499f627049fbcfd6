// Small things that several files need.
'use strict';

const { AsyncResource } = require('async_hooks');
const { nextTick } = require('./clock');

// What a callback throws is an uncaught exception, as anywhere; who called it goes on.
function uncaught(error) {
  nextTick(() => {
    throw error;
  });
}

// A callback of the program that may throw without taking anything of ours along.
function guarded(callback) {
  return (...args) => {
    try {
      callback(...args);
    } catch (error) {
      uncaught(error);
    }
  };
}

// The same, in the asynchronous context of who gives it (AsyncLocalStorage).
function bound(callback) {
  return guarded(AsyncResource.bind((...args) => callback(...args), 'CLOUDS_CALLBACK'));
}

function promised(begin) {
  return new Promise((resolve, reject) => begin((error, value) => (error ? reject(error) : resolve(value))));
}

// Not given, or given as nothing.
function isNothing(value) {
  return value === undefined || value === null || value === '';
}

// How many single-character edits apart two words are.
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length];
}

// How many letters two words begin with together.
function alike(a, b) {
  let n = 0;
  while (n < a.length && a[n] === b[n]) n++;
  return n;
}

// The one of some words that is near enough to be what was meant; else undefined.
function nearest(word, words) {
  const short = word.slice(0, 40).toLowerCase();
  const rows = words.map((each) => ({ each, far: distance(short, each.toLowerCase()), same: alike(short, each.toLowerCase()) }));
  const [best] = rows.sort((a, b) => a.far - b.far || b.same - a.same);
  return best.far * 2 <= Math.max(short.length, best.each.length) ? best.each : undefined;
}

// "Did you mean ...?", or all of the words, or what is said instead.
function hint(word, words, otherwise = `there ${words.length > 1 ? 'are' : 'is'} ${words.join(', ')}`) {
  const near = nearest(word, words);
  return near === undefined ? otherwise : `did you mean '${near}'?`;
}

// Methods as those of a class: not enumerable.
function extend(prototype, methods) {
  const descriptors = Object.getOwnPropertyDescriptors(methods);
  for (const name of Object.keys(descriptors)) descriptors[name].enumerable = false;
  Object.defineProperties(prototype, descriptors);
}

function inherit(constructor, parent) {
  Object.setPrototypeOf(constructor.prototype, parent.prototype);
  Object.setPrototypeOf(constructor, parent);
}

module.exports = { uncaught, guarded, bound, promised, isNothing, nearest, hint, extend, inherit };
