// Where the Redis of a benchmark is, in the options of npm's clouds.
'use strict';

exports.cluster = (address) => {
  if (address.startsWith('unix:')) return { path: address.slice(5) };
  const [host, port] = address.split(':');
  return { host, port: Number(port) };
};
