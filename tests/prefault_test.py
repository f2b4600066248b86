"""seg.prefault: all memory of heap and index is there before the server listens, huge pages are asked for, and the
accounts stay true: within 3 % of what the kernel counts, and below server.memory_limit.

    prefault_test.py PATH_TO_SERVER
"""
import os
import re
import resource
import socket
import sys
import unittest

from harness import Server, refused, rss_bytes, wait_until
from memory_kit import ask, fill

BINARY = sys.argv[1]
HEAP_MB = 192
LIMIT_MB = 320
HEAP_BYTES = HEAP_MB * 2**20
INDEX_BYTES = HEAP_BYTES // 8
DIFFERENCE_MAX = 0.03
GROWTH_MAX_BYTES = 8 * 2**20  # receive buffers, and what eviction remembers
FAULTS_MAX = 6000  # the same in pages, and as much again for what is touched for the first time; the heap has 49,152
PATIENCE = 60
SETTINGS = ['worker.threads=2', 'server.drain_timeout=0ms']
PREFAULT = ['seg.prefault=true']


def faults(server):
    with open(f'/proc/{server.pid}/stat', encoding='ascii') as stat:
        return int(stat.read().rpartition(')')[2].split()[7])


def advised_bytes(server):
    """Of the mappings that huge pages are wanted for."""
    with open(f'/proc/{server.pid}/smaps', encoding='ascii') as smaps:
        mappings = re.findall(r'^Size: +(\d+) kB$.*?^VmFlags:(.*?)$', smaps.read(), re.MULTILINE | re.DOTALL)
    return sum(int(size) * 1024 for size, flags in mappings if 'hg' in flags.split())


class Prefault(unittest.TestCase):
    def start(self, *settings):
        return Server(BINARY, [*SETTINGS, *settings])

    def check(self, server, client, when):
        parts, resident = ask(client, b'stats memory\r\n'), rss_bytes(server.pid)
        print(when, {name: f'{value / 2**20:.1f} MB' for name, value in parts.items()}, f'{resident / 2**20:.1f} MB')
        self.assertLess(abs(parts['total'] / resident - 1), DIFFERENCE_MAX, (when, parts, resident))
        return parts, resident

    def test_everything_is_there_and_little_comes(self):
        with self.start(*PREFAULT, f'seg.heap_size={HEAP_MB}MB') as server:
            self.assertRegex(server.output(),
                             r'seg\.prefault: 216 MB of memory for heap and index, made real in \d+ ms\n')
            with socket.create_connection(server.address, PATIENCE) as client:
                parts, before = self.check(server, client, 'started')
                self.assertEqual(parts['heap'], HEAP_BYTES)
                self.assertEqual(parts['index'], INDEX_BYTES)
                self.assertGreater(before, HEAP_BYTES + INDEX_BYTES)
                if os.path.exists('/sys/kernel/mm/transparent_hugepage/enabled'):
                    self.assertGreaterEqual(advised_bytes(server), HEAP_BYTES + INDEX_BYTES)
                faults_before = faults(server)
                fill(client, HEAP_MB * 3, 127)  # of 150 bytes with key and header
                parts, after = self.check(server, client, 'full')
                self.assertEqual(parts['heap'], HEAP_BYTES)
                self.assertEqual(parts['index'], INDEX_BYTES)
                self.assertLess(after, before + GROWTH_MAX_BYTES)
                self.assertLess(faults(server) - faults_before, FAULTS_MAX)

    def test_large_values_take_memory_from_the_heap(self):
        with (self.start(*PREFAULT, f'seg.heap_size={HEAP_MB}MB', 'seg.max_value_size=16MB') as server,
              socket.create_connection(server.address, PATIENCE) as client):
            _, before = self.check(server, client, 'started')
            value = b'v' * (16 * 2**20)
            for key in (b'a', b'b', b'c', b'a', b'b'):
                client.sendall(b'set %s 0 0 %d\r\n%s\r\n' % (key, len(value), value))
                self.assertEqual(client.recv(100), b'STORED\r\n')
            parts, after = self.check(server, client, 'large values')
            self.assertLessEqual(parts['heap'], HEAP_BYTES)
            self.assertLess(after - parts['buffers'] - parts['free'], before + GROWTH_MAX_BYTES)
            fill(client, HEAP_MB * 2, 100)
            parts, _ = self.check(server, client, 'and small ones')
            self.assertLessEqual(parts['heap'], HEAP_BYTES)

    def test_a_limit_holds(self):
        with (self.start(*PREFAULT, f'server.memory_limit={LIMIT_MB}MB', 'server.max_connections=100') as server,
              socket.create_connection(server.address, PATIENCE) as client):
            parts, _ = self.check(server, client, 'started')
            self.assertGreater(parts['heap'] + parts['index'], LIMIT_MB * 2**20 // 2)
            for value_bytes in (20, 100_000):
                fill(client, LIMIT_MB, value_bytes)
                with open(f'/proc/{server.pid}/status', encoding='ascii') as status:
                    most = next(int(line.split()[1]) * 1024 for line in status if line.startswith('VmHWM'))
                self.assertLess(most, LIMIT_MB * 2**20)
                full, _ = self.check(server, client, f'values of {value_bytes}')
                self.assertEqual(full['heap'], parts['heap'])
                self.assertEqual(full['index'], parts['index'])  # it was all that it may become

    def test_otherwise_memory_comes_ahead_of_use(self):
        """Huge pages are wanted for all of the heap in the end, and for most of the index."""
        with (self.start(f'seg.heap_size={HEAP_MB}MB') as server,
              socket.create_connection(server.address, PATIENCE) as client):
            self.assertLess(rss_bytes(server.pid), HEAP_BYTES / 4)
            self.assertNotIn('prefault', server.output())
            fill(client, HEAP_MB * 2, 127)
            if os.path.exists('/sys/kernel/mm/transparent_hugepage/enabled'):
                wait_until(lambda: advised_bytes(server) >= HEAP_BYTES + INDEX_BYTES // 2, 'huge pages to be wanted')
            self.check(server, client, 'filled by the requests')

    def test_more_than_there_is(self):
        megabytes = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') // 2**20
        refused(BINARY, ['--set', 'seg.prefault=true', '--set', f'seg.heap_size={megabytes + 1024}MB'],
                'seg.prefault: the heap takes', 'are available')

    def test_what_the_kernel_refuses(self):
        """The limit has room for the heap, and not for the index, which comes second."""
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (552 * 2**20, hard))
        try:
            refused(BINARY, ['--set', 'seg.prefault=true', '--set', 'seg.heap_size=512MB'],
                    'seg.prefault: cannot have', 'bytes of memory for the index: Cannot allocate memory')
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
