"""Starts the servers of a stage, loads them by turns, and keeps what was measured or what went wrong.

What it returns are cells: {'case', 'text', 'server', 'runs', 'failed', 'of_runs'}. A cell that has failed once is left
alone from then on, and says why; everything else goes on.
"""
import contextlib
import dataclasses
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

from . import memory
from .generator import BenchError, Generator
from .groups import ITEM_EXTRA_BYTES, Scale
from .peers import Description, Peer, PeerError

TROUBLE = (BenchError, PeerError, OSError)
HEAP_ROOM, HEAP_MB_MIN = 1.5, 256  # times what is stored, and in addition


def say(text):
    print(text, file=sys.stderr, flush=True)


def one_line(error):
    return ' '.join(str(error).split())[:200]


def make_certificate(folder):
    """A throw-away one, ECDSA P-256."""
    paths = {'certificate': Path(folder) / 'certificate.pem', 'key': Path(folder) / 'key.pem'}
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                    '-subj', '/CN=localhost', '-days', '2', '-out', paths['certificate'], '-keyout', paths['key']],
                   check=True, capture_output=True, timeout=60)
    return paths


def summary(runs):
    """Median, least and most of every number that was measured in each run. Where the generator was late the latencies
    are its own: such a run counts only if there is no other."""
    runs = [run for run in runs if run.get('generator_kept_up', True)] or runs
    numbers = {name for name, value in (runs[0] if runs else {}).items() if isinstance(value, (int, float))}
    return {name: {'median': statistics.median(values), 'min': min(values), 'max': max(values)}
            for name in sorted(numbers) if (values := [run[name] for run in runs])}


class Runner:
    def __init__(self, folder, bin_folder, descriptions, scale=Scale(), server_core=0, generator_core=1):
        self.places = {'bin': Path(bin_folder).resolve(), **make_certificate(folder)}
        self.descriptions, self.scale, self.core = descriptions, scale, server_core
        self.generator = Generator(self.places['bin'], str(generator_core))

    def echo(self, sizes):
        """The ceiling: a server that answers so many bytes with so many, whatever they are."""
        command = ('{bin}/pelikan-bench', '--echo-server', '127.0.0.1:0', '--echo', f'{sizes[0]}:{sizes[1]}')
        return Description('echo', 'echo', False, command)

    def run(self, stage, wanted=lambda case, name: True):
        """The cells of a stage, of each case for each server that can do it and is `wanted` for it."""
        stored = stage.keys * (stage.value_bytes + ITEM_EXTRA_BYTES)
        places = {**self.places, 'memory_mb': int(HEAP_ROOM * stored / 2**20) + HEAP_MB_MIN}
        with contextlib.ExitStack() as stack:
            turns = []  # (case, options, cell, peer or None)
            for description in self.descriptions:
                served = [case for case in stage.cases
                          if case.served_by(description) and wanted(case, description.name)]
                turns += self.start(stack, description, places, stage, [(case, case.options()) for case in served])
            for sizes in sorted({sizes for case in stage.cases if (sizes := case.echo_bytes())}):
                options = ['--echo', f'{sizes[0]}:{sizes[1]}']
                same = [(case, [*options, '--connections', case.connections, *case.pace()])
                        for case in stage.cases if case.echo_bytes() == sizes and wanted(case, 'echo')]
                turns += self.start(stack, self.echo(sizes), places, stage, same)
            order = {case: number for number, case in enumerate(stage.cases)}
            turns.sort(key=lambda turn: order[turn[0]])
            for number in range(self.scale.rounds):
                for turn in turns:
                    self.measure(*turn)
                say(f'  round {number + 1} of {self.scale.rounds}: {len(turns)} measurements')
        for _, _, cell, _ in turns:
            cell['of_runs'] = summary(cell['runs'])
        return [cell for _, _, cell, _ in turns]

    def start(self, stack, description, places, stage, cases):
        """Its turns; the server is stopped when `stack` is left."""
        if not cases:
            return []
        peer, failed = None, ''
        try:
            peer = stack.enter_context(Peer(description, places, self.core))
            if peer.stores:
                self.generator.fill(peer, stage.keys, stage.value_bytes)
                self.generator.wear(peer, stage.keys, stage.value_bytes,
                                    self.scale.worn * places['memory_mb'] * 2**20, self.scale.seconds)
        except TROUBLE as error:
            failed = one_line(error)
            say(f'  {description.name}: {failed}')
        return [(case, options, {'case': dataclasses.asdict(case), 'text': str(case), 'server': description.name,
                                 'runs': [], 'failed': failed}, peer) for case, options in cases]

    def measure(self, case, options, cell, peer):
        if cell['failed']:
            return
        try:
            cell['runs'].append(self.generator.measure(peer, options, self.scale.seconds))
        except TROUBLE as error:
            cell['failed'] = one_line(error)
            with contextlib.suppress(OSError):
                if peer.process.poll() is not None:
                    cell['failed'] = f'ended with {peer.process.returncode}: {peer.last_words()}'[:200]
            say(f'  {cell["server"]}, {case}: {cell["failed"]}')

    def each_store(self, text, case, once, rounds):
        """A cell for each server that stores, of what `once(description)` measures; not over TLS."""
        found = []
        for description in self.descriptions:
            if not description.stores or description.tls:
                continue
            cell = {'case': case, 'text': text, 'server': description.name, 'runs': [], 'failed': ''}
            try:
                cell['runs'] = [once(description) for _ in range(rounds)]
            except TROUBLE as error:
                cell['failed'] = one_line(error)
                say(f'  {description.name}: {cell["failed"]}')
            cell['of_runs'] = summary(cell['runs'])
            found.append(cell)
        return found

    def run_memory(self, items, value_bytes):
        """Bytes per item are no matter of speed: the servers are not pinned, and once is enough."""
        generator = Generator(self.places['bin'])
        say(f'  {items:,} items with values of {value_bytes:,} bytes')
        return self.each_store(
            f'{items:,} items of 20 + {value_bytes:,} bytes', {'items': items, 'value_bytes': value_bytes},
            lambda description: memory.measure(description, self.places, generator, items, 20, value_bytes), 1)

    def run_start(self, heap_mb):
        """From the start of the program until the first answer."""
        def once(description):
            began = time.monotonic()
            with Peer(description, {**self.places, 'memory_mb': heap_mb}, self.core) as peer:
                answer = peer.ask(b'get k\r\n', b'\r\n')  # redis takes it as well
                if answer not in (b'END\r\n', b'$-1\r\n'):
                    raise PeerError(f'its answer to a get is {answer}')
                return {'start_s': time.monotonic() - began}
        return self.each_store(f'{heap_mb:,} MB', {'heap_mb': heap_mb}, once, self.scale.rounds)


def missing_commands():
    return [name for name in ('openssl', 'taskset', 'setpriv', 'gnuplot') if shutil.which(name) is None]
