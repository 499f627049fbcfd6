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

module.exports = { uncaught, guarded, bound, promised, extend, inherit };
