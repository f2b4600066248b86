"""Runs pelikan-bench against one server and judges what it says."""
import json
import resource
import subprocess
import time
from pathlib import Path

KEY_BYTES = 20
ALLOWANCE_S, FILL_TIMEOUT_S = 30, 900
MISSED_MAX = 0.01  # above, gets are cheaper than they should be
LARGE_BYTES = 1_000
FILL = ['--ratio', 'get:100', '--duration', '1ms', '--fill']


class BenchError(Exception):
    """A measurement that does not count; one line."""


class Generator:
    """pelikan-bench, pinned to a core unless that is None. Not for two runs at a time: its processor time is counted
    as that of the children that have ended."""

    def __init__(self, folder, core=None):
        self.command = [*(['taskset', '-c', core] if core is not None else []), Path(folder) / 'pelikan-bench']

    def run(self, peer, options, timeout_s):
        """(its report, how much of its core it used from 0 to 1)."""
        words = [*self.command, '--target', f'127.0.0.1:{peer.port}', '--protocol', peer.protocol, '--json', *options]
        if peer.tls:
            words += ['--tls', '--tls-version', '1.3']
        before, began = children_cpu_seconds(), time.monotonic()
        try:
            done = subprocess.run(list(map(str, words)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            raise BenchError(f'no result after {timeout_s:.0f} s') from None
        busy = (children_cpu_seconds() - before) / (time.monotonic() - began)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise BenchError(said[-1] if said else f'pelikan-bench ended with {done.returncode}')
        try:
            report = json.loads(done.stdout)
        except ValueError:
            raise BenchError(f'not JSON: {done.stdout[:80]!r}') from None
        if report['errors']:
            kinds = ', '.join(f'{count} {kind}' for kind, count in report['error_kinds'].items() if count)
            raise BenchError(f'errors in replies: {kinds}')
        return report, busy

    def fill(self, peer, keys, value_bytes, key_bytes=KEY_BYTES):
        """Stores every key once."""
        self.run(peer, [*FILL, *self.storing(peer, keys, value_bytes, key_bytes)], FILL_TIMEOUT_S)

    def wear(self, peer, keys, value_bytes, written_bytes, seconds):
        """Stores any of the keys, for so many seconds at a time, until so much has been written. As long as a server of
        ours has memory that it has never used it writes there, and the kernel has yet to find each page."""
        while written_bytes > 0:
            report, _ = self.run(peer, ['--ratio', 'set:100', '--duration', f'{seconds * 1000:.0f}ms',
                                        *self.storing(peer, keys, value_bytes, KEY_BYTES)], seconds + ALLOWANCE_S)
            written_bytes -= max(report['requests'], 1) * (KEY_BYTES + value_bytes)

    @staticmethod
    def storing(peer, keys, value_bytes, key_bytes):
        """One at a time where memcached 1.6.18 leaves some of many unanswered."""
        pipeline = 1 if peer.tls and value_bytes > LARGE_BYTES else 64
        return ['--connections', 50, '--pipeline', pipeline, '--keys', keys, '--key-size', key_bytes,
                '--value-size', value_bytes]

    def measure(self, peer, options, seconds):
        """One run of so many seconds; the numbers that are kept of it."""
        report, busy = self.run(peer, [*options, '--duration', f'{seconds * 1000:.0f}ms', '--target-pid',
                                       peer.process.pid], seconds + ALLOWANCE_S)
        gets = report.get('hits', 0) + report.get('misses', 0)
        if gets and report['misses'] > MISSED_MAX * gets:
            raise BenchError(f'{report["misses"]} of {gets} gets missed')
        if '--resume' in options and report['resumed'] < 0.9 * report['handshakes']:
            raise BenchError(f'only {report["resumed"]} of {report["handshakes"]} handshakes resumed a session')
        unit = 'handshake' if 'handshakes' in report else 'request'
        if f'target_cpu_us_per_{unit}' not in report:
            raise BenchError('the server has ended, or its processor time cannot be read')
        kept = {'rate': report[f'{unit}s_per_second'],
                **{f'{name}_us': report['latency_us'][name] for name in ('p50', 'p99', 'p999')},
                'cpu_us': report[f'target_cpu_us_per_{unit}'], 'generator_busy': busy}
        for name in ('achieved_rate', 'never_sent', 'generator_kept_up'):
            if name in report:
                kept[name] = report[name]
        return {name: float(f'{value:.6g}') if isinstance(value, float) else value for name, value in kept.items()}


def children_cpu_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
