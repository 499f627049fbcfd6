// What must be right for the compiler; test_types.js also looks that the lines marked WRONG are not.
import * as http from 'http';
import * as clouds from 'clouds';
import { Server, Client, CloudsError, CallOptions, Status } from 'clouds';

async function main(): Promise<void> {
  const server: Server = clouds.createServer({
    redis: { host: '127.0.0.1', port: 6379 },
    heartbeat: 2,
    maxMessage: 1 << 20,
  });
  server.register(
    'hello',
    function (name: string, callback: clouds.Callback) {
      const left: number | null = this.timeLeft();
      callback(null, 'Hello ' + name + left + this.caller);
    },
    (error, key) => console.log(error && error.code, key)
  );
  await server.registerP('add', async (a: number, b: number) => a + b);
  server.on('handler error', (error, request) => console.log(error, request.method)).on('listen', () => {});
  await server.unregister('add');
  const subscription: clouds.Subscription = await server.subscribe(['a', 'b.*'], (value, { topic, missed }) => topic + missed);
  subscription.close();
  server.publish('a', 1).publish('a', 2, { meta: { m: 1 } }, (error, receivers) => console.log(error, receivers));
  const receivers: number = await server.publishP('a', 3);
  for await (const { value, sender } of server.watch('a', { queue: receivers })) console.log(value, sender);

  const added: number = clouds.span('add', (a: number, b: number) => a + b, 1, 2);
  const later: string = await clouds.span('later', async () => clouds.trace()?.span ?? String(added));
  console.log(later);

  const client = new Client('redis://127.0.0.1');
  const options: CallOptions = {
    timeout: 1,
    deadline: 5,
    retry: 2,
    server: server.id,
    signal: AbortSignal.timeout(10),
    about: {},
  };
  const answeredBy: string | undefined = options.about?.server;
  const sum: number = await client.call<number>('add', [1, 2], options);
  const all: [string, number] = await client.call<[string, number]>('two', [], { all: true });
  client.call('add', [sum], (error, value) => console.log(error, value)).send('x', all);
  client.call('add', [1], { timeout: 1 }, (error: CloudsError | null) => console.log(error && error.outcome));
  const add = client.bindP<[number, number], number>('add', { retry: 3, onRetry: (a, b, go) => go(a, b) });
  const more: number = await add(1, 2);
  client.bind('add', 5)(1, 2, (error: unknown) => console.log(error, more));
  client.on('message', (sender, data) => console.log(sender.length, data, answeredBy)).once('exit', () => {});
  const status: Status = await clouds.createMonitor().status();
  console.log((await clouds.createClient().ask('s.x', 'ping')).pid, await clouds.createClient().ask('s.x', 'stop', { drain: 1 }),
    (await clouds.createClient().ask('s.x', 'links')).links?.[0].here);
  console.log(Object.keys(status.methods), await client.sendP('x', 1), client.counters().calls);
  class Mine extends Server {
    constructor() {
      super({ id: 'mine' });
    }
  }
  await new Mine().ready();
  await Promise.all([server.exitP({ drain: 1 }), client.exitP()]);
  clouds
    .createBase({ type: 'worker' })
    .ref()
    .unref()
    ._setHandler('message.x', (message: clouds.Message) => message.raw);
  clouds.worker.ready(http.createServer());
  clouds.worker.ready((socket, port) => socket.end(`${port}`));
  clouds.worker.on('drain', async (reason, seconds) => console.log(reason === 'reload', seconds.toFixed(1)));
  clouds.worker.transact();
  clouds.worker.release(clouds.worker.ports.length);
  const turn: number = await clouds.worker.serial(async () => 1);
  clouds.worker.every(turn, () => {}).stop();
  console.log(clouds.version, clouds.createProtocol('me').packCall('m', []).raw);
}

clouds.createClient({ redis: 'redis://h', operationTimeout: 1, logLevel: 'off' }).ready({ timeout: 1 }, () => {});
clouds.createServer({ redis: 6380 }).on('log', (level, line) => console.log(level === 'warn', line.message));
clouds.createServer().registerP('x', () => 1, { timeout: 1 });
clouds.createServer({ logLevel: 'loud' }); // WRONG
clouds.createServer().status({ timeout: 'x' }); // WRONG
clouds.createServer().ask('s.x', 'dance'); // WRONG
clouds.createClient(5); // WRONG
clouds.createClient({ timeout: 'soon' }); // WRONG
clouds.createClient().call(5); // WRONG
clouds.createClient().call('x', 'text'); // WRONG
clouds.createClient().call('x', [], { signal: 5 }); // WRONG
clouds.createClient().register('x', () => {}); // WRONG
clouds.createServer().registerP('x'); // WRONG
clouds.worker.ready('server'); // WRONG
clouds.worker.release('all'); // WRONG
clouds.worker.on('drain', (reason) => reason === 'tired'); // WRONG

main().catch((error: CloudsError) => console.log(error.code, error.retryable, error.values));
