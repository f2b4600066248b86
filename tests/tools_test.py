"""The two tools as scripts use them: exit codes, JSON keys, and targets and traces that are not there.

The environment names the binaries: PELIKAN_BENCH, PELIKAN_REPLAY, and the servers PELIKAN_PINGSERVER and
PELIKAN_SEGCACHE. Where nothing else is wanted pelikan-bench is pointed at memcached on a unix socket, which needs no
port and says when it listens.
"""
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from xml.etree import ElementTree

import harness
import pki

TIMEOUT_S = 120


def run(binary, *arguments, stdin=None):
    command = [binary, *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


class Memcached:
    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / 'socket'
        user = ['-u', 'root'] if os.geteuid() == 0 else []
        command = ['memcached', '-vv', '-t', '1', '-s', self.path, *user]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if 'server listening' in line:
                break
        # From here on its log only has to be emptied.
        self.log = subprocess.Popen(['cat'], stdin=self.process.stderr, stdout=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(TIMEOUT_S)
        self.log.wait(TIMEOUT_S)
        self.process.stderr.close()
        self.folder.cleanup()


class Redis:
    """Debian's redis-server on a unix socket, which holds nothing and writes nothing."""
    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / 'socket'
        command = ['redis-server', '--port', '0', '--unixsocket', self.path, '--save', '', '--dir', self.folder.name]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = ''
        for line in self.process.stdout:
            said += line
            if 'ready to accept' in line.lower():
                return self
        raise AssertionError(f'redis-server ended:\n{said}')

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate(timeout=TIMEOUT_S)
        self.folder.cleanup()


class Bench(unittest.TestCase):
    binary = os.environ.get('PELIKAN_BENCH')

    def measure(self, server, *arguments):
        done = run(self.binary, '--target', f'unix:{server.path}', '--connections', 5, '--duration', '0.2s',
                   '--keys', 500, '--json', *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ''), done.stdout)
        report = json.loads(done.stdout)
        self.assertEqual(report['errors'], 0, report)
        return report

    def test_protocols(self):
        """Every protocol, with who speaks it: hits, misses, values that come in pieces, empty ones, TTLs."""
        for server, protocols in ((Memcached(), ('memcache', 'meta', 'binary')), (Redis(), ('resp',))):
            with server:
                for protocol in protocols:
                    speak = ('--protocol', protocol, '--pipeline', 20)
                    for key_size, value_size in ((20, 100), (10, 0), (6, 30000)):
                        sizes = ('--key-size', key_size, '--value-size', value_size)
                        report = self.measure(server, *speak, *sizes, '--fill', '--ttl', 3000)
                        self.assertEqual(report['misses'], 0)
                        self.assertGreater(report['hits'], 0)
                        report = self.measure(server, *speak, *sizes, '--ratio', 'get:1,set:1,delete:1')
                        self.assertGreater(report['misses'], 0)
                        self.assertGreater(report['hits'], 0)
                        self.assertAlmostEqual(report['keys_per_second'] / report['requests_per_second'], 1)

    def test_several_keys_in_one_request(self):
        for server, protocol in ((Memcached(), 'memcache'), (Redis(), 'resp')):
            with server:
                several = ('--protocol', protocol, '--multiget', 100, '--pipeline', 3)
                report = self.measure(server, *several, '--ratio', 'get:1', '--fill')
                self.assertEqual((report['misses'], report['hits']), (0, 100 * report['requests']))
                self.assertAlmostEqual(report['keys_per_second'] / report['requests_per_second'], 100)
                report = self.measure(server, *several, '--ratio', 'get:3,set:1,delete:100')
                self.assertGreater(report['misses'], 0)
                self.assertGreater(report['hits'], 0)

    def test_json_against_memcached(self):
        with Memcached() as memcached:
            done = run(self.binary, '--target', f'unix:{memcached.path}', '--connections', 5, '--pipeline', 4,
                       '--duration', '0.2s', '--keys', 100, '--key-size', 20, '--value-size', 50,
                       '--distribution', 'zipf:0.99', '--ratio', 'get:90,set:10', '--fill', '--json',
                       '--target-pid', memcached.process.pid)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        report = json.loads(done.stdout)
        self.assertEqual((report['errors'], report['misses']), (0, 0))
        self.assertGreater(report['hits'], 0)
        self.assertGreater(report['requests_per_second'], 0)
        self.assertEqual(list(report['latency_us']), ['p50', 'p90', 'p99', 'p999', 'max'])
        self.assertEqual(list(report['latency_us'].values()), sorted(report['latency_us'].values()))
        self.assertGreaterEqual(report['target_cpu_us_per_request'], 0)

    def test_progress(self):
        with Memcached() as memcached:
            done = run(self.binary, '--target', f'unix:{memcached.path}', '--threads', 2, '--keys', 10,
                       '--duration', '2.5s', '--progress', '--json')
        self.assertEqual(done.returncode, 0)
        self.assertEqual(json.loads(done.stdout)['errors'], 0)
        self.assertRegex(done.stderr, r'^([1-9]\d*/s  p99 until now \d+\.\d us  errors 0\n){1,4}$')

    def echo_server(self, *arguments):
        """The server and what it says first; the test is skipped where there is no io_uring."""
        server = subprocess.Popen([self.binary, '--echo-server', '0', *arguments], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        if said := server.stdout.readline():
            return server, said
        errors = server.communicate(timeout=TIMEOUT_S)[1]
        self.assertRegex(errors, '^pelikan-bench: io_uring.*: Operation not permitted\n$')
        self.skipTest(errors)

    def test_echo_server(self):
        """It says where it listens, answers until it is told to end, and ends with 0, with connections open."""
        for end in (signal.SIGTERM, signal.SIGINT):
            server, said = self.echo_server('--echo', '30:500')
            self.assertRegex(said, r'^listening server=127\.0\.0\.1:\d+\n$')
            address = said.strip().split('=')[1]
            done = run(self.binary, '--target', address, '--protocol', 'echo', '--echo', '30:500', '--pipeline', 16,
                       '--duration', '0.2s', '--json')
            self.assertEqual((done.returncode, done.stderr), (0, ''), done.stdout)
            self.assertGreater(json.loads(done.stdout)['requests'], 0)
            host, port = address.split(':')
            with socket.create_connection((host, int(port))) as client:
                client.sendall(bytes(30))
                self.assertGreater(len(client.recv(500)), 0)
                server.send_signal(end)
                self.assertEqual(server.communicate(timeout=TIMEOUT_S), ('', ''))
            self.assertEqual(server.returncode, 0)

    def test_other_bytes_than_those_agreed_on(self):
        server, said = self.echo_server()
        with server:
            address = said.strip().split('=')[1]
            done = run(self.binary, '--target', address, '--protocol', 'ping', '--duration', '0.2s', '--json',
                       '--pipeline', 20)
            server.terminate()
        self.assertEqual(done.returncode, 1)
        self.assertIn('not a reply', done.stderr)

    def test_nothing_worked(self):
        done = run(self.binary, '--target', 'unix:/nonexistent/socket', '--json')
        self.assertEqual(done.returncode, 1)
        self.assertGreater(json.loads(done.stdout)['errors'], 0)
        self.assertIn('/nonexistent/socket', done.stderr)

    def test_usage(self):
        for arguments in ([], ['--target', 'x'], ['--target', 'a:1', '--threads', '0'],
                          ['--target', 'a:1', '--rate', 'fast'], ['--target', 'a:1', '--ca', 'file'],
                          ['--target', 'a:1', '--target-pid', 2**22 + 1], ['--echo-server', 'x'],
                          ['--echo-server', '0', '--target', 'a:1'], ['--target', 'a:1', '--multiget', 0]):
            done = run(self.binary, *arguments)
            self.assertEqual((done.returncode, done.stdout), (78, ''), arguments)
            self.assertRegex(done.stderr, r'^pelikan-bench: .+\n$')
        self.assertEqual(run(self.binary, '--help').returncode, 0)


class BenchOurs(unittest.TestCase):
    """Several threads, the open loop and handshakes, against our own servers."""
    binary = os.environ.get('PELIKAN_BENCH')

    def measure(self, server, *arguments):
        done = run(self.binary, '--target', f'127.0.0.1:{server.port}', '--connections', 8, '--duration', '0.3s',
                   '--json', '--target-pid', server.pid, *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ''), done.stdout)
        report = json.loads(done.stdout)
        self.assertEqual(report['errors'], 0, report)
        return report

    def test_threads(self):
        with harness.Server(os.environ['PELIKAN_SEGCACHE'], ['seg.heap_size=64MB']) as server:
            report = self.measure(server, '--threads', 3, '--pipeline', 4, '--keys', 1000, '--fill')
        self.assertGreater(report['hits'], 0)
        self.assertEqual(report['misses'], 0)
        self.assertNotIn('offered_rate', report)

    def test_open_loop(self):
        for binary, protocol in ((os.environ['PELIKAN_SEGCACHE'], 'memcache'),
                                 (os.environ['PELIKAN_PINGSERVER'], 'ping')):
            for threads in (1, 2):
                with harness.Server(binary) as server:
                    report = self.measure(server, '--protocol', protocol, '--threads', threads, '--rate', 3000)
                self.assertEqual((report['offered_rate'], report['never_sent']), (3000, 0))
                # 900 requests, give or take five times their deviation.
                self.assertAlmostEqual(report['requests'], 900, delta=150)
                if report['generator_kept_up']:
                    self.assertAlmostEqual(report['achieved_rate'], 3000, delta=1000)
                self.assertGreaterEqual(report['seconds'], 0.3)
                self.assertEqual(list(report['send_lag_us']), ['p50', 'p99', 'max'])
                self.assertIsInstance(report['generator_kept_up'], bool)
                for key in ('late_sends', 'held_sends'):
                    self.assertGreaterEqual(report[key], 0)

    def test_handshakes(self):
        with harness.Server(os.environ['PELIKAN_PINGSERVER']) as server:
            report = self.measure(server, '--handshakes', '--threads', 2)
        self.assertGreater(report['handshakes'], 0)
        self.assertGreater(report['handshakes_per_second'], 0)
        self.assertEqual(report['resumed'], 0)
        self.assertGreater(report['latency_us']['p50'], 0)
        self.assertIn('target_cpu_us_per_handshake', report)
        self.assertNotIn('requests_per_second', report)


def memcached_tls(server, authority=None):
    """Debian's memcached; with an authority it wants client certificates of that."""
    options = [f'ssl_chain_cert={server.certificate}', f'ssl_key={server.key}']
    if authority:
        options += [f'ssl_ca_cert={authority.certificate}', 'ssl_verify_mode=2']
    return harness.Memcached(['-Z', '-o', ','.join(options)])


def segcache_tls(server, authority=None):
    settings = [f'tls.certificate_chain={server.certificate}', f'tls.private_key={server.key}']
    if authority:
        settings.append(f'tls.ca_file={authority.certificate}')
    return harness.Server(os.environ['PELIKAN_SEGCACHE'], settings)


class BenchTls(unittest.TestCase):
    binary = os.environ.get('PELIKAN_BENCH')
    servers = [memcached_tls, segcache_tls]

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        made = pki.Pki(cls.folder.name)
        cls.authority, cls.stranger = made.ca('authority'), made.ca('stranger')
        cls.server = made.leaf(cls.authority, 'server', ['IP:127.0.0.1'])
        cls.client = made.leaf(cls.authority, 'client')
        cls.strange_client = made.leaf(cls.stranger, 'strange_client')
        Path(cls.folder.name).chmod(0o755)
        Path(cls.server.key).chmod(0o644)  # memcached reads it as somebody else

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def bench(self, server, *arguments, connections=4):
        return run(self.binary, '--target', f'127.0.0.1:{server.port}', '--connections', connections,
                   '--duration', '0.2s', '--keys', 100, '--json', *arguments)

    def measure(self, server, *arguments, connections=4):
        done = self.bench(server, *arguments, connections=connections)
        self.assertEqual((done.returncode, done.stderr), (0, ''), done.stdout)
        report = json.loads(done.stdout)
        self.assertEqual(report['errors'], 0, report)
        return report

    def refused(self, server, code, message, *arguments):
        done = self.bench(server, *arguments)
        self.assertEqual(done.returncode, code, done)
        self.assertRegex(done.stderr, f'^pelikan-bench: .*{message}.*\n$')

    def test_requests(self):
        for start in self.servers:
            with start(self.server) as server:
                for version in ('1.2', '1.3'):
                    report = self.measure(server, '--tls', '--tls-version', version, '--fill', '--pipeline', 8,
                                          '--ca', self.authority.certificate)
                    self.assertRegex(report['tls'], f'^TLSv{version} ')
                    self.assertEqual(report['misses'], 0)
                    self.assertGreater(report['hits'], 0)
                # Values that fill many records, several threads, and an open loop.
                self.measure(server, '--tls', '--value-size', 100000, '--ratio', 'set:1', '--threads', 2)
                report = self.measure(server, '--tls', '--rate', 1000, '--value-size', 100000, '--fill')
                self.assertEqual(report['misses'], 0)

    def test_more_connections_than_handshakes_and_backlog(self):
        server = segcache_tls(self.server)
        server.settings += ('listener.max_handshakes=16',)
        with server:
            done = run(self.binary, '--target', f'127.0.0.1:{server.port}', '--connections', 1500, '--tls', '--json',
                       '--duration', '0.2s')
        self.assertEqual((done.returncode, done.stderr), (0, ''), done.stdout)
        self.assertGreaterEqual(json.loads(done.stdout)['requests'], 1500)

    def test_handshakes(self):
        for start in self.servers:
            with start(self.server) as server:
                for version in ('1.2', '1.3'):
                    tls = ('--tls', '--tls-version', version, '--handshakes')
                    full, resumed = self.measure(server, *tls), self.measure(server, *tls, '--resume')
                    self.assertGreater(full['handshakes'], 0)
                    self.assertEqual(full['resumed'], 0)
                    self.assertGreater(resumed['resumed'], 0.9 * resumed['handshakes'])

    def test_more_connections_than_wait_for_a_handshake(self):
        """The server's own limits: 1024 handshakes at once, and as many that wait to be accepted."""
        with segcache_tls(self.server) as server:
            report = self.measure(server, '--tls', '--threads', 2, connections=3000)
        self.assertGreaterEqual(report['requests'], 3000)

    def test_a_silent_target_is_given_up_once(self):
        """With more connections than may be in handshake: those that were not begun count, too."""
        with socket.create_server(('127.0.0.1', 0), backlog=1000) as silent:
            done = run(self.binary, '--target', f'127.0.0.1:{silent.getsockname()[1]}', '--tls', '--connections', 700,
                       '--duration', '0.2s', '--json')
        self.assertEqual(done.returncode, 1, done)
        self.assertIn('no answer in time', done.stderr)
        self.assertEqual(json.loads(done.stdout)['error_kinds']['handshake'], 700)

    def test_client_certificate(self):
        own = ('--cert', self.client.certificate, '--key', self.client.key)
        strange = ('--cert', self.strange_client.certificate, '--key', self.strange_client.key)
        for start in self.servers:
            with start(self.server, self.authority) as server:
                for mode in ((), ('--handshakes',), ('--handshakes', '--tls-version', '1.2')):
                    self.measure(server, '--tls', *own, *mode)
                    self.refused(server, 1, 'TLS', '--tls', *strange, *mode)
                    self.refused(server, 1, 'TLS', '--tls', *mode)

    def test_refused(self):
        with memcached_tls(self.server) as server:
            self.refused(server, 1, 'TLS handshake: .*certificate', '--tls', '--ca', self.stranger.certificate)
            self.refused(server, 1, 'add --tls')
            key = self.client.key
            self.refused(server, 78, '--key FILE', '--tls', '--cert', self.client.certificate)
            self.refused(server, 78, '--cert FILE', '--tls', '--key', key)
            for files in (('--ca', '/nonexistent/file'), ('--ca', key), ('--cert', '/nonexistent/file', '--key', key),
                          ('--cert', self.server.certificate, '--key', key)):
                self.refused(server, 78, '--tls: ', '--tls', *files)
        with harness.Memcached() as server:
            self.refused(server, 1, 'plain text.*leave out --tls', '--tls')
            self.refused(server, 1, 'plain text.*leave out --tls', '--tls', '--handshakes')


class Replay(unittest.TestCase):
    binary = os.environ.get('PELIKAN_REPLAY')
    trace = ''.join(f'{i // 10},{i % 40},16,100,0,get,0\n' for i in range(1000)) + 'not a request\n'

    def test_json_from_standard_input(self):
        done = run(self.binary, '-', '--set', 'seg.heap_size=1MB', '--json', stdin=self.trace)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('1 malformed lines left out, the first is line 1001', done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual((report['requests'], report['gets'], report['misses']), (800, 800, 0))
        self.assertEqual((report['object_miss_ratio'], report['byte_miss_ratio']), (0, 0))
        for key in ('ops_per_second', 'heap_bytes', 'index_bytes', 'overhead_bytes_per_item'):
            self.assertGreater(report[key], 0, key)

    def test_one_line_per_fraction(self):
        done = run(self.binary, '-', '--heap-fraction', '50,100', '--json', stdin=self.trace)
        self.assertEqual(done.returncode, 0, done.stderr)
        heaps = [json.loads(line)['heap_bytes'] for line in done.stdout.splitlines()]
        self.assertEqual(len(heaps), 2)
        self.assertLess(heaps[0], heaps[1])

    def test_a_run_for_each_policy_and_heap_size(self):
        with tempfile.TemporaryDirectory() as folder:
            chart = Path(folder) / 'curves.svg'
            arguments = ['-', '--policy', 'fifo,MERGE', '--heap-size', '5000%,1MB']
            done = run(self.binary, *arguments, '--chart', chart, '--json', stdin=self.trace)
            self.assertEqual(done.returncode, 0, done.stderr)
            runs = [json.loads(line) for line in done.stdout.splitlines()]
            self.assertEqual([each['policy'] for each in runs], ['fifo', 'fifo', 'merge', 'merge'])
            self.assertEqual([each['heap_bytes'] for each in runs], [224 * 1024, 1024 * 1024] * 2)
            curves = ElementTree.parse(chart).getroot()
            self.assertEqual(curves.tag, '{http://www.w3.org/2000/svg}svg')
            table = run(self.binary, *arguments, stdin=self.trace).stdout.splitlines()
            self.assertEqual([line.split()[0] for line in table[2:]], ['policy', 'fifo', 'fifo', 'merge', 'merge'])

    def test_all_policies_are_those_of_the_setting(self):
        refusal = run(self.binary, '-', '--policy', 'lru', stdin=self.trace)
        self.assertEqual(refusal.returncode, 78)
        words = refusal.stderr.split('one of ')[1].split()
        self.assertIn('merge', words)
        done = run(self.binary, '-', '--policy', 'all', '--heap-size', '1MB', '--json', stdin=self.trace)
        self.assertEqual([json.loads(line)['policy'] for line in done.stdout.splitlines()], words)

    def test_binary_formats(self):
        with tempfile.TemporaryDirectory() as folder:
            records = {'trace.sbin': [struct.pack('<IQII', 1, i % 10, 16 << 22 | 100, 1 << 24) for i in range(100)],
                       'trace.oracleGeneral': [struct.pack('<IQIq', 1, i % 10, 116, -1) for i in range(100)]}
            for name, requests in records.items():
                path = Path(folder) / name
                path.write_bytes(b''.join(requests))
                done = run(self.binary, path, '--heap-size', '1MB', '--json')
                self.assertEqual(done.returncode, 0, done.stderr)
                report = json.loads(done.stdout)
                self.assertEqual((report['gets'], report['misses'], report['footprint_bytes']), (80, 0, 1160), name)
                path.write_bytes(b''.join(requests) + b'x')
                done = run(self.binary, path, '--heap-size', '1MB')
                self.assertEqual((done.returncode, done.stdout), (1, ''))
                self.assertRegex(done.stderr, r'^pelikan-replay: record 101 ends early: 1 of 2[04] bytes\n$')

    def test_refused(self):
        rows = [(78, []),
                (78, ['-', '--set', 'seg']),
                (78, ['-', '--heap-size', '1MB,1KB']),
                (78, ['-', '--chart', '/nonexistent/curves.svg']),
                (78, ['-', '--set', 'seg.heap_siz=64MB']),
                (78, ['-', '--set', 'worker.threads=1']),
                (78, ['-', '--format', 'csv']),
                (78, ['-', '--heap-fraction', '0.0001']),
                (1, ['/nonexistent/trace.csv'])]
        for code, arguments in rows:
            done = run(self.binary, *arguments, stdin=self.trace)
            self.assertEqual(done.returncode, code, (arguments, done.stderr))
            self.assertRegex(done.stderr.splitlines()[-1], '^pelikan-replay: .+')
        self.assertEqual(run(self.binary, '-', stdin='').returncode, 1)


if __name__ == '__main__':
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
