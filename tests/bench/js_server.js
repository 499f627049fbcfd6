// Serves bench.add by npm's clouds or ours: js_server.js MODULE REDIS, where REDIS is unix:PATH or HOST:PORT.
'use strict';

const { cluster } = require('./js_cluster.js');

const server = require(process.argv[2]).createServer({ redis: cluster(process.argv[3]) });
server.register(
  'bench.add',
  (a, b, callback) => callback(null, a + b),
  () => {
    server.on('listen', () => console.log('ready'));
  }
);

// Leaves no registration behind, which npm's clients would go on asking.
process.once('SIGTERM', () => {
  server.exit();
  setTimeout(() => process.exit(), 500);
});
