// A worker of languages.lua in JavaScript: it is ready when what it registers is, and ends in order.
'use strict';

const { createServer, worker } = require('clouds');

createServer().registerP('hello.node', (name) => `Hello ${name}, from ${worker.group}.${worker.index}`);

worker.on('drain', (reason, seconds) => console.log(`${reason}: no further calls; ${seconds} s for those that are here`));
