// Keeps calls of bench.add outstanding, by npm's clouds or ours: js_client.js MODULE REDIS OUTSTANDING SECONDS. It
// prints {"rate", "p50", "bad"}: calls a second, the median latency in microseconds, wrong answers.
'use strict';

const { cluster } = require('./js_cluster.js');

const [, , name, address, outstanding, seconds] = process.argv;
const client = require(name).createClient({ redis: cluster(address), timeout: 30 });
const add = client.bind('bench.add');
const latencies = [];
let begin,
  end,
  done = 0,
  bad = 0,
  running = 0;

function next() {
  const at = process.hrtime.bigint(),
    a = done & 1023;
  running++;
  add(a, 2, (error, sum) => {
    const now = process.hrtime.bigint();
    running--;
    if (error || sum !== a + 2) bad++;
    // At least one, however slow the machine is.
    if (now >= begin && (now < end || done === 0)) {
      if ((done++ & 15) === 0) latencies.push(Number(now - at) / 1000);
    }
    if (now < end || done === 0) next();
    else if (running === 0) report();
  });
}

function report() {
  latencies.sort((a, b) => a - b);
  console.log(JSON.stringify({ rate: done / Number(seconds), p50: latencies[latencies.length >> 1], bad }));
  process.exit(0);
}

client.once('listen', () => {
  const warm = BigInt(Math.round(Math.min(0.5, seconds / 4) * 1e9));
  begin = process.hrtime.bigint() + warm;
  end = begin + BigInt(Math.round(seconds * 1e9));
  for (let i = 0; i < Number(outstanding); i++) next();
});
