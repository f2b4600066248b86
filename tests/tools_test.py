"""The two tools as scripts use them: exit codes, JSON keys, and targets and traces that are not there.

The environment names the binaries: PELIKAN_BENCH, PELIKAN_REPLAY. pelikan-bench is pointed at memcached on a unix
socket, which needs no port and says when it listens.
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

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


class Bench(unittest.TestCase):
    binary = os.environ.get('PELIKAN_BENCH')

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

    def test_nothing_worked(self):
        done = run(self.binary, '--target', 'unix:/nonexistent/socket', '--json')
        self.assertEqual(done.returncode, 1)
        self.assertGreater(json.loads(done.stdout)['errors'], 0)
        self.assertIn('/nonexistent/socket', done.stderr)

    def test_usage(self):
        for arguments in ([], ['--target', 'x'], ['--target', 'a:1', '--threads', '4'],
                          ['--target', 'a:1', '--target-pid', 2**22 + 1]):
            done = run(self.binary, *arguments)
            self.assertEqual((done.returncode, done.stdout), (78, ''), arguments)
            self.assertRegex(done.stderr, r'^pelikan-bench: .+\n$')
        self.assertEqual(run(self.binary, '--help').returncode, 0)


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

    def test_refused(self):
        rows = [(78, []),
                (78, ['-', '--set', 'seg']),
                (78, ['-', '--set', 'seg.heap_siz=64MB']),
                (78, ['-', '--set', 'worker.threads=1']),
                (78, ['-', '--format', 'oracle']),
                (78, ['-', '--heap-fraction', '0.0001']),
                (1, ['/nonexistent/trace.csv'])]
        for code, arguments in rows:
            done = run(self.binary, *arguments, stdin=self.trace)
            self.assertEqual(done.returncode, code, (arguments, done.stderr))
            self.assertRegex(done.stderr.splitlines()[-1], '^pelikan-replay: .+')
        self.assertEqual(run(self.binary, '-', stdin='').returncode, 1)


if __name__ == '__main__':
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
