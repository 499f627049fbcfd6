// A service and a gateway of moleculer, each a process: node gateway.js (service | gateway) PORT GATEWAY-PORT SERVICE-PORT.
// PORT is where the gateway serves HTTP, the others are those by which the two reach each other.
const { ServiceBroker } = require('moleculer');
const ApiGateway = require('moleculer-web');

const [role, port, ...between] = process.argv.slice(2);
const urls = [`127.0.0.1:${between[0]}/gateway`, `127.0.0.1:${between[1]}/service`];
const broker = new ServiceBroker({
  nodeID: role,
  logger: false,
  transporter: { type: 'TCP', options: { udpDiscovery: false, port: Number(between[role === 'gateway' ? 0 : 1]), urls } },
});
if (role === 'service') {
  broker.createService({ name: 'bench', actions: { add: context => context.params.a + context.params.b } });
} else {
  const routes = [{ path: '/call', aliases: { 'POST bench.add': 'bench.add' }, bodyParsers: { json: true } }];
  broker.createService({ mixins: [ApiGateway], settings: { ip: '127.0.0.1', port: Number(port), routes } });
}
broker.start().then(() => role === 'service' || broker.waitForServices('bench')).then(() => console.log('ready'));
