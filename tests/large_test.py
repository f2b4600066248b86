"""Values of 20 MB in a heap of 128 MB, plain and over TLS: they come back whole, too large ones are refused, and heap
and blocks together are no more than the heap was to be.

    large_test.py PATH_TO_SERVER [memory]

With `memory` what `stats memory` says is compared with what the kernel counts, which sanitizers would spoil.
"""
import random
import socket
import sys
import tempfile
import unittest

from harness import Server, refused, rss_bytes, wait_until
from memory_kit import ask, fill
from pki import Pki
from tls_kit import PATIENCE, SERVER_NAMES, client_context, connect, tls_settings

BINARY = sys.argv[1]
COUNTS_MEMORY = sys.argv[2:] == ['memory']
HEAP_MB = 128
VALUE_BYTES = 20 * 2**20
SETTINGS = [f'seg.heap_size={HEAP_MB}MB', 'seg.max_value_size=32MB', 'worker.threads=2', 'server.drain_timeout=0ms']
DIFFERENCE_MAX = 0.03
DIFFERENCE_BYTES = 4 * 2**20  # which is more when little is left: receive buffers, and what malloc gives back or not
AHEAD_MB = 4  # not yet reused, or, before the first large value, populated ahead of use
SEED = 7


def receive_until(client, end):
    received = bytearray()
    while not received.endswith(end):
        part = client.recv(2**20)
        assert part, f'closed after {len(received)} bytes: {bytes(received[:100])!r}'
        received += part
    return received


class Large(unittest.TestCase):
    def talk(self, client, request, end=b'\r\n'):
        client.sendall(request)
        return receive_until(client, end)

    def set(self, client, key, value, answer=b'STORED\r\n'):
        self.assertEqual(self.talk(client, b'set %s 5 0 %d\r\n%s\r\n' % (key, len(value), value)), answer)

    def check_get(self, client, key, value):
        self.assertTrue(self.talk(client, b'get %s\r\n' % key, b'\r\nEND\r\n') ==
                        b'VALUE %s 5 %d\r\n%s\r\nEND\r\n' % (key, len(value), value))

    def check_memory(self, server, client, when, heap_mb):
        if not COUNTS_MEMORY:
            return
        parts = ask(client, b'stats memory\r\n')
        resident = rss_bytes(server.pid)
        print(when, {name: f'{value / 2**20:.1f} MB' for name, value in parts.items()}, f'{resident / 2**20:.1f} MB')
        difference_max = max(DIFFERENCE_MAX * resident, DIFFERENCE_BYTES)
        self.assertLess(abs(parts['total'] - resident), difference_max, (when, parts, resident))
        self.assertLessEqual(parts['heap'], (heap_mb + AHEAD_MB) * 2**20, when)

    def wake(self, server, open_one):
        """Each worker has turns, in which it does what is due; then how many large items there are."""
        for _ in range(8):
            with open_one() as client:
                self.assertTrue(self.talk(client, b'version\r\n').startswith(b'VERSION'))
        return server.stats()['item_large']

    def run_server(self, pair, context):
        def open_one():
            return connect(server.address, context) if pair else socket.create_connection(server.address, PATIENCE)

        values = [random.Random(SEED + i).randbytes(VALUE_BYTES + i) for i in range(4)]
        with Server(BINARY, SETTINGS + (tls_settings(pair) if pair else [])) as server, open_one() as client:
            fill(client, HEAP_MB // 8, 100)
            for i in range(12):
                value = values[i % len(values)]
                self.set(client, b'large', value)
                self.check_get(client, b'large', value)
                self.set(client, b'other%d' % i, values[(i + 1) % len(values)])
            self.check_memory(server, client, 'full', HEAP_MB)
            self.assertEqual(self.talk(client, b'append large 0 0 4\r\nmore\r\n'), b'STORED\r\n')
            self.check_get(client, b'large', values[3] + b'more')
            self.assertGreaterEqual(server.stats()['item_large'], 2)
            self.assertGreaterEqual(server.stats()['item_large_bytes'], 2 * VALUE_BYTES)
            self.set(client, b'large', b'x' * (33 * 2**20), b'SERVER_ERROR object too large for cache\r\n')
            self.assertEqual(self.talk(client, b'flush_all\r\n'), b'OK\r\n')
            wait_until(lambda: self.wake(server, open_one) == 0, 'the blocks to be given back')
            self.check_memory(server, client, 'flushed', 0)

    def test_plain(self):
        self.run_server(None, None)

    def test_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            pki = Pki(folder)
            ca = pki.ca('ca')
            self.run_server(pki.leaf(ca, 'server', san=SERVER_NAMES), client_context(ca, None))

    def test_buffers_must_hold_the_largest(self):
        arguments = ['--set', 'server.port=0', '--set', 'admin.port=0', '--set', 'seg.max_value_size=128MB']
        refused(BINARY, arguments, 'server.buffer_memory', 'seg.max_value_size')


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
