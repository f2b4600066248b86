// Node's own `tls`, speaking the text protocol: both versions, resumption, a pipeline, a large value, a half-close.
//     tls.js HOST:PORT CA_FILE
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const tls = require('node:tls');

const [host, port] = process.argv[2].split(':');
const ca = fs.readFileSync(process.argv[3]);
const LARGE = Buffer.from(Array.from({length: 1000000}, (_, i) => i % 251));

class Connection {
  constructor(version, session) {
    this.received = Buffer.alloc(0);
    this.socket = tls.connect({
      host, port, ca, session, servername: 'localhost', minVersion: version, maxVersion: version, allowHalfOpen: true});
    this.pieces = [];
    this.socket.on('data', (piece) => this.pieces.push(piece));
    this.ended = new Promise((resolve, reject) => {
      this.socket.on('end', resolve);
      this.socket.on('error', reject);
    });
    this.ended.catch(() => {});
    // TLS 1.3 sends it after the handshake.
    this.session = new Promise((resolve) => this.socket.once('session', resolve));
  }

  ready() {
    return new Promise((resolve, reject) => {
      this.socket.once('secureConnect', resolve);
      this.socket.once('error', reject);
    });
  }

  // Sends, and waits until so many bytes have come.
  async ask(request, count) {
    this.socket.write(request);
    let size = this.pieces.reduce((sum, piece) => sum + piece.length, 0);
    while (size < count) {
      await new Promise((resolve, reject) => {
        this.socket.once('data', resolve);
        this.ended.then(() => reject(new Error(`the server ended after ${size} of ${count} bytes`)), reject);
      });
      size = this.pieces.reduce((sum, piece) => sum + piece.length, 0);
    }
    const all = Buffer.concat(this.pieces);
    this.pieces = [all.subarray(count)];
    return all.subarray(0, count);
  }

  async expect(request, reply) {
    const wanted = Buffer.from(reply);
    assert.ok((await this.ask(request, wanted.length)).equals(wanted), `${request.slice(0, 60)}`);
  }
}

async function talk(version) {
  const first = new Connection(version);
  await first.ready();
  assert.strictEqual(first.socket.authorized, true);
  assert.strictEqual(first.socket.getProtocol(), version);
  assert.strictEqual(first.socket.isSessionReused(), false);
  await first.expect('set k 5 0 1\r\nv\r\n', 'STORED\r\n');
  await first.expect('get k absent\r\n', 'VALUE k 5 1\r\nv\r\nEND\r\n');

  const keys = Array.from({length: 1000}, (_, i) => `key${i}`);
  const stores = keys.map((key) => `set ${key} 0 0 ${key.length}\r\n${key}\r\n`).join('');
  await first.expect(stores, 'STORED\r\n'.repeat(1000));
  await first.expect(keys.map((key) => `get ${key}\r\n`).join(''),
                     keys.map((key) => `VALUE ${key} 0 ${key.length}\r\n${key}\r\nEND\r\n`).join(''));

  const header = `set large 0 0 ${LARGE.length}\r\n`;
  await first.expect(Buffer.concat([Buffer.from(header), LARGE, Buffer.from('\r\n')]), 'STORED\r\n');
  await first.expect('get large\r\n', Buffer.concat(
      [Buffer.from(`VALUE large 0 ${LARGE.length}\r\n`), LARGE, Buffer.from('\r\nEND\r\n')]));

  const second = new Connection(version, await first.session);
  await second.ready();
  assert.strictEqual(second.socket.isSessionReused(), true);
  await second.expect('get k\r\n', 'VALUE k 5 1\r\nv\r\nEND\r\n');

  // We say that we have finished; what was asked before is answered, then the server finishes, too.
  first.socket.end('get k\r\n'.repeat(100));
  await first.ended;
  assert.strictEqual(Buffer.concat(first.pieces).toString(), 'VALUE k 5 1\r\nv\r\nEND\r\n'.repeat(100));
  second.socket.write('quit\r\n');
  await second.ended;
  second.socket.end();
}

async function main() {
  for (const version of ['TLSv1.2', 'TLSv1.3']) await talk(version);
  const stranger = tls.connect({host, port, servername: 'localhost'});
  await assert.rejects(new Promise((resolve, reject) => stranger.on('secureConnect', resolve).on('error', reject)),
                       /certificate/);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
