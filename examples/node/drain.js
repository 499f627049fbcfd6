// A program that serves and has a server of its own besides (HTTP here), and that stops in order at SIGTERM, as a service
// manager or a container sends it: it takes nothing new, finishes what it has begun, and ends by itself with 0.
//   node drain.js [url]
'use strict';

const http = require('http');
const { setTimeout: sleep } = require('timers/promises');
const clouds = require('clouds');

const LIMIT = 8; // seconds for what has begun; then the process ends with what it has

const server = clouds.createServer({ url: process.argv[2] });
const client = clouds.createClient({ url: process.argv[2] });

// What fails because the cluster cannot be reached is tried on, until the program stops.
const warn = (error) => console.error(`${error.code}: ${error.message}`);

const slow = async (seconds) => {
  await sleep(seconds * 1000);
  return 'done';
};

server.registerP('test.slow', slow).catch(warn);

const web = http.createServer(async (request, response) => {
  const answer = await client.call('test.slow', [0.01]).catch((error) => error.code);
  response.end(`${answer}\n`);
});

web.listen(0, '127.0.0.1', () => {
  const { port } = web.address();
  server.ready().then(() => console.log(`ready: ${server.id} ${port}`), warn);
});

async function stop(signal) {
  console.log(`${signal}: finishing`);
  setTimeout(() => process.exit(1), (LIMIT + 1) * 1000).unref(); // whatever holds it up
  await new Promise((resolve) => {
    web.close(resolve); // first those who call, then what they call
    web.closeIdleConnections();
  });
  const unanswered = await server.exitP({ drain: LIMIT });
  await client.exitP();
  console.log(`ended, ${unanswered} left unanswered`);
}

process.once('SIGTERM', stop); // a second one ends it at once, as usual
process.once('SIGINT', stop);
