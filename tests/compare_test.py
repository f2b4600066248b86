"""scripts/compare: the arithmetic of its tables, and in small the whole of it.

    compare_test.py Ratios | Peers
    PELIKAN_BIN=build/release/bin compare_test.py Smoke | Failures | Interrupted
"""
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / 'scripts'))
from comparison import aims, peers, ratios, tables  # noqa: E402
from comparison.cases import Case  # noqa: E402
from comparison.groups import GROUPS  # noqa: E402
from comparison.runner import summary  # noqa: E402
from harness import wait_until  # noqa: E402

SMOKE_LIMIT_S = 240  # with sanitizers' builds and other tests beside it; alone it takes a quarter of a minute


def cell(server, rates, cpu_us=1.0, busy=0.5, failed='', p999_us=100, **fields):
    runs = [{'rate': rate, 'cpu_us': cpu_us, 'generator_busy': busy, 'p99_us': 10, 'p999_us': p999_us}
            for rate in rates]
    return {'case': dataclasses.asdict(Case(**fields)), 'text': str(Case(**fields)), 'server': server, 'runs': runs,
            'failed': failed, 'of_runs': summary(runs)}


class Ratios(unittest.TestCase):
    def test_are_taken_within_each_round(self):
        ours, theirs = cell('pelikan-segcache', [100, 30, 200]), cell('memcached', [50, 10, 100])
        self.assertEqual(ratios.ratio(ours, theirs), (2, False))

    def test_are_per_cpu_second_when_the_generator_is_the_limit(self):
        ours = cell('pelikan-segcache', [500_000], cpu_us=0.5, busy=0.97)  # 25 % of its core
        theirs = cell('memcached', [500_000], cpu_us=2, busy=0.6)
        self.assertEqual(ratios.ratio(ours, theirs), (4, True))
        busy_too = cell('pelikan-segcache', [500_000], cpu_us=2, busy=0.97)
        self.assertEqual(ratios.ratio(busy_too, theirs), (1, False))

    def test_a_rate_is_in_doubt_when_nobody_was_busy(self):
        for cpu_us, busy, doubt in ((1, 0.5, True), (1, 0.9, False), (1.9, 0.5, False)):
            self.assertEqual(ratios.disturbed(cell('memcached', [500_000], cpu_us=cpu_us, busy=busy)), doubt)

    def test_rounds_in_which_the_generator_was_late_are_left_out(self):
        runs = [{'p999_us': p999_us, 'generator_kept_up': kept} for p999_us, kept in ((9, True), (900, False))]
        self.assertEqual(summary(runs)['p999_us']['max'], 9)
        self.assertEqual(summary(runs[1:])['p999_us']['max'], 900)
        self.assertTrue(ratios.generator_late({'runs': runs[1:]}))
        self.assertFalse(ratios.generator_late({'runs': runs}))

    def test_what_failed_or_was_too_short_has_none(self):
        ours = cell('pelikan-segcache', [100])
        self.assertIsNone(ratios.ratio(ours, cell('memcached', [50], failed='lost')))
        self.assertIsNone(ratios.ratio(ours, None))
        self.assertIsNone(ratios.ratio(ours, cell('memcached', [50], cpu_us=0), per_cpu=True))

    def test_the_best_peer_is_another_servers_and_not_the_ceiling(self):
        cells = [cell('pelikan-segcache', [100]), cell('memcached', [50]), cell('redis', [80]), cell('echo', [200]),
                 cell('pelikan-pingserver', [300]), cell('redis', [1_000], pipeline=16)]
        self.assertEqual(ratios.to_best_peer(cells, cells[0]), (1.25, False))
        self.assertEqual(ratios.to_ceiling(cells, cells[0]), (0.5, False))

    def test_aims(self):
        cells = [cell('pelikan-segcache', [95]), cell('memcached', [73]), cell('redis', [74]), cell('echo', [100])]
        groups = {'throughput': {'cells': cells}}
        found = {(aim.case, aim.aim): (aim.measured, aim.reached) for aim in aims.aims(groups)}
        self.assertEqual(found['get, pipeline 1', 'at least 0.92 of the ceiling'], ('0.950', True))
        self.assertEqual(found['get, pipeline 1', 'at least 1.3 times memcached'], ('1.301', True))
        self.assertEqual(found['get, pipeline 1', 'at least 1.3 times redis'], ('1.284', False))
        self.assertEqual(found['get, pipeline 16', 'at least 0.75 of the ceiling'], ('', False))
        self.assertIn('| not measured | **no** |', tables.aims_table(groups))

    def test_latency_aims_compare_at_the_same_load(self):
        cells = [cell('pelikan-segcache', [1_000]), cell('memcached', [800]),
                 cell('pelikan-segcache', [500], rate=500, p999_us=90), cell('memcached', [500], rate=500, p999_us=95),
                 cell('pelikan-segcache', [800], rate=800, p999_us=99), cell('memcached', [800], rate=800, p999_us=98)]
        reached = [aim.reached for aim in aims.latency_aims(cells)]
        self.assertEqual(reached, [True, False, False])  # at half, at 80 %, and at memcached's own saturation

    def test_the_ceiling_has_the_bytes_of_memcache_text(self):
        self.assertEqual(Case().echo_bytes(), (26, 141))
        self.assertEqual(Case('set').echo_bytes(), (136, 8))
        self.assertEqual(Case('ping').echo_bytes(), (6, 6))
        self.assertIsNone(Case('mix').echo_bytes())


class Peers(unittest.TestCase):
    def test_lines(self):
        found = peers.parse("mine resp+tls 'a server' --port {port}")
        self.assertEqual(found, ('mine', 'resp', True, ('a server', '--port', '{port}')))
        for wrong in ('mine', 'mine resp', 'mine http server', 'mine resp+ssl server', 'mine resp+ server'):
            with self.assertRaisesRegex(peers.PeerError, '^peer .*mine'):
                peers.parse(wrong)

    def test_one_that_cannot_start_says_why(self):
        for command, said in ((['sh', '-c', 'echo no memory; exit 3'], 'ended with 3: no memory'),
                              (['/nonexistent/server', '{port}'], 'ended with 127: .*No such file'),
                              (['server', '{heap}'], 'placeholder .*heap')):
            with self.assertRaisesRegex(peers.PeerError, said):
                with peers.Peer(peers.Description('mine', 'resp', False, tuple(command)), {}):
                    self.fail('it has started')


def members(session):
    """The processes of a session."""
    found = []
    for process in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            fields = (process / 'stat').read_text(errors='replace').rpartition(')')[2].split()
            if int(fields[3]) == session and fields[0] != 'Z':
                found.append((process / 'cmdline').read_text(errors='replace'))
    return found


class Whole(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.out = Path(folder.name)

    def start(self, *words):
        command = [sys.executable, '-B', ROOT / 'scripts' / 'compare', '--smoke', '--bin', os.environ['PELIKAN_BIN'],
                   '--out', self.out, *words]
        return subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, start_new_session=True)

    def run_compare(self, *words):
        """(exit code, stdout, stderr); nothing that it has started is left."""
        process = self.start(*words)
        stdout, stderr = process.communicate(timeout=SMOKE_LIMIT_S)
        self.assertEqual(members(process.pid), [])
        return process.returncode, stdout, stderr

    def cells(self):
        groups = json.loads((self.out / 'results.json').read_text())['groups']
        return {name: group['cells'] for name, group in groups.items()}


class Smoke(Whole):
    def test_everything_is_measured(self):
        code, stdout, stderr = self.run_compare()
        self.assertEqual(code, 0, stdout + stderr)
        cells = self.cells()
        self.assertEqual(list(cells), list(GROUPS))
        for name, of_group in cells.items():
            servers = {each['server'] for each in of_group}
            self.assertLessEqual({'pelikan-segcache', 'memcached', 'redis'}, servers, name)
            self.assertTrue(all(each['runs'] and not each['failed'] for each in of_group), name)
            self.assertIn(f'## {tables.TITLES[name]}\n', (self.out / 'results.md').read_text())
            self.assertIn(f'## {tables.TITLES[name]}\n', stdout)
        self.assertLessEqual({'echo', 'pelikan-pingserver'}, {each['server'] for each in cells['throughput']})
        drawn = list(self.out.glob('*.svg'))
        self.assertGreaterEqual(len(drawn), 8)
        for chart in drawn:
            self.assertEqual(ElementTree.parse(chart).getroot().tag, '{http://www.w3.org/2000/svg}svg')
            self.assertIn(f']({chart.name})', (self.out / 'results.md').read_text())


class Failures(Whole):
    def test_a_peer_that_fails_is_told_and_the_others_go_on(self):
        refuser = ('import socketserver as s; '
                   'answer = lambda self: [self.wfile.write(b"ERROR\\r\\n") for _ in self.rfile]; '
                   'handler = type("Refuser", (s.StreamRequestHandler,), dict(handle=answer)); '
                   's.ThreadingTCPServer(("127.0.0.1", {port}), handler).serve_forever()')
        code, stdout, stderr = self.run_compare('--only', 'throughput,start', '--peer', 'broken memcache false',
                                                '--peer', f"refuser memcache {sys.executable} -c '{refuser}'")
        self.assertEqual(code, 1)
        self.assertRegex(stderr.splitlines()[-1], r'^compare: \d+ measurements failed')
        self.assertIn('| get, pipeline 1 | broken | failed: broken: ended with 1: it wrote nothing |', stdout)
        self.assertRegex(stdout, r'\| get, pipeline 1 \| refuser \| failed: errors in replies: .*\d+ refused')
        throughput = self.cells()['throughput']
        self.assertEqual({each['server'] for each in throughput if each['failed']}, {'broken', 'refuser'})
        self.assertIn('pelikan-segcache', {each['server'] for each in throughput if each['runs']})

    def test_wrong_words(self):
        for code, words in ((2, ['--only', 'speed']), (2, ['--server-core', '4096']), (1, ['--peer', 'mine http x'])):
            got, _, stderr = self.run_compare(*words)
            self.assertEqual(got, code, stderr)
            self.assertRegex(stderr.splitlines()[-1], '^compare: ')


class Interrupted(Whole):
    def end_with(self, number):
        """Ends it by a signal while servers run; what was measured before is kept."""
        process = self.start('--only', 'start,throughput', '--seconds', '5')
        for line in process.stderr:
            if line.startswith('throughput:'):
                break
        wait_until(lambda: any('pelikan-segcache' in command for command in members(process.pid)), 'a server')
        process.send_signal(number)
        process.communicate(timeout=SMOKE_LIMIT_S)
        self.assertEqual(list(self.cells()), ['start'])
        return process

    def test_stops_the_servers(self):
        process = self.end_with(signal.SIGTERM)
        self.assertEqual(process.returncode, 128 + signal.SIGTERM)
        self.assertEqual(members(process.pid), [])

    def test_the_kernel_stops_them_when_it_is_killed(self):
        process = self.end_with(signal.SIGKILL)
        wait_until(lambda: not members(process.pid), 'the servers to be gone')


if __name__ == '__main__':
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
