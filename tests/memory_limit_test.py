"""server.memory_limit holds: the most that the process ever had resident (VmHWM) stays below it, whatever clients do.

    memory_limit_test.py PATH_TO_SERVER

The heap is filled over and over with small items, until the index is at its bound too, and then with values of a
megabyte. As many clients as are allowed connect, leave half a request each, more than server.buffer_memory, and ask
for replies that they do not read; then they go and others come.
"""
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import unittest

from harness import Server, wait_until
from memory_kit import ask, fill
from pki import Pki
from tls_kit import PATIENCE, SERVER_NAMES, client_context, connect, tls_settings

BINARY = sys.argv[1]
LIMIT_MB = {'plain': 192, 'tls': 320}
CLIENTS = {'plain': 2000, 'tls': 300}
HALF = b'set half 0 0 1000000\r\n' + b'x' * 60_000


def most_bytes(server):
    with open(f'/proc/{server.pid}/status', encoding='ascii') as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith('VmHWM'))


class MemoryLimit(unittest.TestCase):
    def check(self, server, limit, when):
        most = most_bytes(server)
        print(f'{when}: at most {most / 2**20:.1f} of {limit / 2**20:.0f} MB')
        self.assertLess(most, limit, when)

    def press(self, server, count, open_one):
        """So many clients, which leave half a request each and replies unread. The server may close some."""
        clients = [open_one() for _ in range(count)]
        for number, client in enumerate(clients):
            client.settimeout(0.01)
            try:
                client.sendall(b'get big\r\n' * 20 + HALF if number % 20 == 0 else HALF)
            except OSError:  # it was closed, or the server does not read on
                pass
        wait_until(lambda: server.stats()['session_buffer_byte'] > 0, 'buffers in use')
        for client in clients:
            client.close()
        wait_until(lambda: server.stats()['tcp_conn_curr'] <= 1, 'the connections to be closed')

    def run_server(self, transport, pair, context):
        def open_one():
            return connect(server.address, context) if context else socket.create_connection(server.address, PATIENCE)

        limit = LIMIT_MB[transport] * 2**20
        settings = [f'server.memory_limit={LIMIT_MB[transport]}MB', 'worker.threads=2', 'server.drain_timeout=0ms',
                    f'server.max_connections={CLIENTS[transport] + 1}', 'seg.segment_size=1049000',
                    *(tls_settings(pair) if context else [])]
        with Server(BINARY, settings) as server, open_one() as client:
            fill(client, LIMIT_MB[transport], 20)
            parts = ask(client, b'stats memory\r\n')
            self.check(server, limit, f'{transport}, small items')
            self.assertGreater(parts['heap'] + parts['index'], 0.3 * limit)
            self.assertGreater(parts['index'], 0.1 * parts['heap'])
            fill(client, LIMIT_MB[transport], 1_000_000)
            client.sendall(b'set big 0 0 1000000\r\n' + b'b' * 1_000_000 + b'\r\n')
            self.assertEqual(client.recv(100), b'STORED\r\n')
            self.check(server, limit, f'{transport}, large values')
            for _ in range(2):
                self.press(server, CLIENTS[transport], open_one)
            self.check(server, limit, f'{transport}, clients')

    def test_plain(self):
        self.run_server('plain', None, None)

    def test_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            pki = Pki(folder)
            ca = pki.ca('ca')
            context = client_context(ca)
            context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
            self.run_server('tls', pki.leaf(ca, 'server', san=SERVER_NAMES), context)

    def test_too_small(self):
        for settings in (['server.memory_limit=20MB'], ['server.memory_limit=1GB', 'seg.heap_size=1GB']):
            words = [word for setting in settings for word in ('--set', setting)]
            done = subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=PATIENCE, check=False)
            self.assertEqual(done.returncode, 78, done.stderr)
            self.assertRegex(done.stderr, r'^pelikan-segcache: .*server\.memory_limit.*\n$')


if __name__ == '__main__':
    needed = max(CLIENTS.values()) + 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(needed, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    unittest.main(argv=sys.argv[:1])
