// What web.lua does, with Node's own server: by itself, or in so many workers of Node's cluster.
const cluster = require('cluster');
const http = require('http');

const [port, workers] = process.argv.slice(2).map(Number);

function serve() {
  http.createServer((request, response) => {
    const body = request.url === '/' ? 'Hello, world\n' : JSON.stringify({ id: request.url.split('/')[2] });
    response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': body.length });
    response.end(body);
  }).listen(port, '127.0.0.1', () => console.log('ready'));
}

if (workers && cluster.isPrimary) for (let n = 0; n < workers; n++) cluster.fork();
else serve();
