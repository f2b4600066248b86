// npm `memcached`: callbacks, several commands under way on one connection, getMulti, gets and cas, stats.
'use strict';
const assert = require('node:assert');
const {promisify} = require('node:util');
const Memcached = require('memcached');

async function main() {
  const client = new Memcached(process.argv[2], {retries: 0, timeout: 30000});
  const call = (name, ...args) => promisify(client[name]).apply(client, args);

  assert.strictEqual(await call('set', 'k', 'v', 100), true);
  assert.strictEqual(await call('get', 'k'), 'v');
  assert.strictEqual(await call('get', 'absent'), undefined);
  assert.strictEqual(await call('replace', 'k', 'w', 100), true);
  assert.strictEqual(await call('append', 'k', '!'), true);
  assert.strictEqual(await call('prepend', 'k', '?'), true);
  assert.strictEqual(await call('get', 'k'), '?w!');
  await assert.rejects(call('add', 'k', 'x', 100));

  await call('set', 'object', {list: [1, 2]}, 100);
  assert.deepStrictEqual(await call('get', 'object'), {list: [1, 2]});
  const bytes = Buffer.from(Array.from({length: 200000}, (_, i) => i % 256));
  await call('set', 'bytes', bytes, 100);
  assert.ok((await call('get', 'bytes')).equals(bytes));

  await Promise.all(Array.from({length: 200}, (_, i) => call('set', `key${i}`, `value${i}`, 100)));
  const many = await call('getMulti', Array.from({length: 201}, (_, i) => `key${i}`));
  assert.strictEqual(Object.keys(many).length, 200);
  assert.strictEqual(many.key199, 'value199');

  const {cas, k} = await call('gets', 'k');
  assert.strictEqual(k, '?w!');
  assert.strictEqual(await call('cas', 'k', 'swapped', cas, 100), true);
  assert.strictEqual(await call('cas', 'k', 'again', cas, 100), false);

  await call('set', 'n', 10, 100);
  assert.strictEqual(await call('incr', 'n', 5), 15);
  assert.strictEqual(await call('decr', 'n', 1), 14);
  assert.strictEqual(await call('incr', 'absent', 1), false);
  assert.strictEqual(await call('touch', 'n', 100), true);
  assert.strictEqual(await call('del', 'n'), true);
  assert.strictEqual(await call('del', 'n'), false);

  const [stats] = await call('stats');
  assert.ok(stats.curr_items > 200);
  const [version] = await call('version');
  assert.match(version.version, /^\d+\.\d+/);
  assert.ok(await call('settings'));
  assert.ok(await call('items'));
  assert.ok(await call('slabs'));
  await call('flush');
  assert.strictEqual(await call('get', 'k'), undefined);
  client.end();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
