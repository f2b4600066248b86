"""`stats memory` adds up to what the kernel counts, within 3 %: after a start, with a full heap, and with connections.

    memory_test.py PATH_TO_SERVER

A heap is filled over and over with small items, so that the index is large too. Then clients connect, plain and over
TLS, of which some leave half a request behind, which the server must keep. The data port and the admin port must agree.
"""
import resource
import socket
import sys
import tempfile
import unittest

from harness import Server, rss_bytes, wait_until
from memory_kit import ask, fill
from pki import Pki
from tls_kit import PATIENCE, SERVER_NAMES, client_context, connect, tls_settings

BINARY = sys.argv[1]
HEAP_MB = 192
DIFFERENCE_MAX = 0.03
PARTS = ['heap', 'index', 'ghost', 'buffers', 'connections', 'free', 'code', 'fixed', 'total', 'resident']
CLIENTS = {'plain': 2000, 'tls': 500}
HALF_BYTES = 5000


class Memory(unittest.TestCase):
    def check(self, server, client, when):
        parts = ask(client, b'stats memory\r\n')
        self.assertEqual(list(parts), PARTS)
        resident = rss_bytes(server.pid)
        self.assertEqual(sum(parts[name] for name in PARTS[:-2]), parts['total'])
        difference = parts['total'] / resident - 1
        print(f'{when}: {difference:+.2%}', {name: f'{value / 2**20:.1f} MB' for name, value in parts.items()})
        self.assertLess(abs(difference), DIFFERENCE_MAX, (when, parts, resident))
        with socket.create_connection(('127.0.0.1', server.admin_port), PATIENCE) as admin:
            told = ask(admin, b'stats memory\r\n')
        self.assertEqual(list(told), PARTS)
        self.assertLess(abs(told['total'] / parts['total'] - 1), 0.01)
        return parts

    def run_server(self, transport, settings, pair, context):
        def open_one():
            return connect(server.address, context) if context else socket.create_connection(server.address, PATIENCE)

        settings = [f'seg.heap_size={HEAP_MB}MB', 'worker.threads=2', 'server.drain_timeout=0ms', *settings]
        with Server(BINARY, settings + (tls_settings(pair) if context else [])) as server, open_one() as client:
            fill(client, HEAP_MB * 2, 100)
            before = self.check(server, client, f'{transport}, full')
            self.assertGreater(before['heap'], 0.95 * HEAP_MB * 2**20)
            self.assertGreater(before['index'], 15 * 2**20)
            clients = [open_one() for _ in range(CLIENTS[transport])]
            half = b'set half 0 0 1000000\r\n' + b'x' * HALF_BYTES
            received = server.stats()['session_recv_byte']
            for each in clients[::4]:
                each.sendall(half)
            wait_until(lambda: server.stats()['session_recv_byte'] >= received + len(clients) // 4 * len(half),
                       'the halves to be received')
            self.assertGreaterEqual(ask(client, b'stats memory\r\n')['buffers'], len(clients) // 4 * HALF_BYTES)
            after = self.check(server, client, f'{transport}, {len(clients)} connections')
            self.assertGreater(after['connections'], before['connections'] + len(clients) * 200)
            for each in clients:
                each.close()
            wait_until(lambda: server.stats()['tcp_conn_curr'] == 1, 'the connections to be closed')
            self.check(server, client, f'{transport}, closed')

    def test_plain(self):
        self.run_server('plain', [], None, None)

    def test_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            pki = Pki(folder)
            ca = pki.ca('ca')
            self.run_server('tls', [], pki.leaf(ca, 'server', san=SERVER_NAMES), client_context(ca, None))


if __name__ == '__main__':
    limit = max(CLIENTS.values()) + 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    unittest.main(argv=sys.argv[:1])
