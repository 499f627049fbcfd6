// What web.lua does, with Node's own server.
const http = require('http');

http.createServer((request, response) => {
  const body = request.url === '/' ? 'Hello, world\n' : JSON.stringify({ id: request.url.split('/')[2] });
  response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': body.length });
  response.end(body);
}).listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'));
