// clouds: services and calls over processes and machines, by name.
'use strict';

const { version } = require('../package.json');
const Base = require('./base');
const Client = require('./client');
const Monitor = require('./monitor');
const Protocol = require('./protocol');
const Server = require('./server');
const { CloudsError } = require('./errors');
const { span } = require('./span');
const { trace } = require('./trace');
const worker = require('./worker');

const createBase = (options) => new Base(options);
const createClient = (options) => new Client(options);
const createServer = (options) => new Server(options);
const createMonitor = (options) => new Monitor(options);
const createProtocol = (sender) => new Protocol(sender);

// Nothing but names: so `import { createClient } from 'clouds'` finds them.
module.exports = {
  version,
  Base,
  Client,
  Server,
  Monitor,
  Protocol,
  CloudsError,
  span,
  trace,
  worker,
  createBase,
  createClient,
  createServer,
  createMonitor,
  createProtocol,
};
