// The addon: clouds.node beside the package, else where the environment's CLOUDS_NODE_ADDON says.
'use strict';

const path = require('path');

const BESIDE = path.join(__dirname, '..', 'clouds.node');

function load() {
  const tried = [];
  for (const file of [BESIDE, process.env.CLOUDS_NODE_ADDON]) {
    if (!file) continue;
    try {
      return require(path.resolve(file));
    } catch (error) {
      tried.push(`${file}: ${error.message}`);
    }
  }
  const error = new Error(`clouds: the addon cannot be loaded\n  ${tried.join('\n  ')}`);
  error.code = 'CLOUDS_NOT_SUPPORTED';
  throw error;
}

module.exports = load();
