// npm `memcache-plus`: promises; sends `get k` and the line's end in separate segments.
'use strict';
const assert = require('node:assert');
const MemcachePlus = require('memcache-plus');

async function main() {
  const client = new MemcachePlus({hosts: [process.argv[2]], netTimeout: 30000});
  await client.set('k', 'v');
  assert.strictEqual(await client.get('k'), 'v');
  assert.strictEqual(await client.get('absent'), null);
  await client.set('object', {list: [1, 2]}, 100);
  assert.deepStrictEqual(await client.get('object'), {list: [1, 2]});

  await Promise.all(Array.from({length: 100}, (_, i) => client.set(`key${i}`, `value${i}`)));
  const keys = Array.from({length: 100}, (_, i) => `key${i}`);
  const many = await client.getMulti([...keys, 'absent']);
  for (const [i, key] of keys.entries()) assert.strictEqual(many[key], `value${i}`);
  assert.strictEqual(many.absent, null);

  await client.set('n', '10');
  assert.strictEqual(await client.incr('n', 5), 15);
  assert.strictEqual(await client.decr('n', 1), 14);
  const [value, token] = await client.gets('k');
  assert.strictEqual(value, 'v');
  assert.strictEqual(await client.cas('k', 'swapped', token), true);
  assert.strictEqual(await client.cas('k', 'again', token), false);
  await client.replace('k', 'new');
  await client.append('k', '!');
  await client.prepend('k', '?');
  assert.strictEqual(await client.get('k'), '?new!');
  assert.strictEqual(await client.delete('k'), true);
  assert.strictEqual(await client.delete('k'), false);
  assert.ok(await client.items());
  await client.flush();
  assert.strictEqual(await client.get('key1'), null);
  await client.disconnect();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
