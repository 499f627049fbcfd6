// A service with two methods. Start as many as you like; calls go to one after the other.
//   node service.js [url]
'use strict';

const clouds = require('clouds');

const server = clouds.createServer(process.argv[2]);

// A promise, or what is returned, is the answer.
server.registerP('test.hello', async (name, message) => `Hello ${name}, ${message}`);

// As in npm clouds: the last argument is the function to answer with.
server.register(
  'test.divide',
  (a, b, callback) => {
    if (b === 0) callback(Object.assign(new Error('division by zero'), { code: 'E_ZERO' }));
    else callback(null, a / b);
  },
  (error) => console.log(error ? error.message : `ready: ${server.id}`)
);

// Served to the end, then the process ends by itself.
process.once('SIGTERM', () => server.exit());
process.once('SIGINT', () => server.exit());
