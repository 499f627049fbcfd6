// Calls the service of service.js.
//   node client.js [url]
'use strict';

const clouds = require('clouds');

async function main() {
  const client = clouds.createClient(process.argv[2]);
  const hello = client.bindP('test.hello', { retry: 5, timeout: 2 });
  console.log(await hello('Glen', 'hi'));
  try {
    await client.call('test.divide', [1, 0]);
  } catch (error) {
    console.log(error.code, error.message, error.outcome);
  }
  client.call('test.divide', [1, 4], (error, quotient) => {
    console.log(error, quotient);
    client.exit();
  });
}

main();
