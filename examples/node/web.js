// A server of HTTP on all processors: clouds start --listen 8080 web.js
//
// The master accepts, and gives a connection to the worker that has the fewest. A worker that is replaced gives its connections to
// others; one that stops tells its clients so with its last answers.
'use strict';

const http = require('http');
const { worker } = require('clouds');

const server = http.createServer((request, response) => {
  response.end(`${request.url} from ${worker.group}.${worker.index}, generation ${worker.generation}\n`);
});

worker.on('drain', (reason) => console.log(`this worker ends: ${reason}`));

if (worker.solo) server.listen(8080); // node web.js
else worker.ready(server);
