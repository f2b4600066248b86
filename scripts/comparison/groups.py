"""The groups of measurements. Each takes the Runner and returns its cells."""
import dataclasses
import itertools
import statistics

from .cases import Case, Stage

STORED_BYTES_MAX = 2.5 * 10**9  # of all values of a server, so that all servers fit into memory together
ITEM_EXTRA_BYTES = 120          # a key, and what a server adds at most


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much of everything."""
    seconds: float = 1
    rounds: int = 3
    worn: float = 1               # what is written before the first round, times a server's memory
    pipelines: tuple = (1, 4, 16, 64)
    deep: tuple = (1, 16)         # where all four would take too long
    many_keys: int = 10_000_000
    one_key_pipelines: tuple = (16, 64)  # for comparing one key with many on the same servers
    value_sizes: tuple = (10, 1_000, 10_000)  # beside the 100 of the base
    many_connections: int = 1_000
    multigets: tuple = (10, 100)
    load_parts: tuple = (0.1, 0.25, 0.5, 0.65, 0.8, 0.9, 1.0)  # of a server's own saturation
    memory_items: int = 1_000_000
    start_heap_mb: int = 16 * 1024


SMOKE = Scale(seconds=0.03, rounds=1, worn=0.01, pipelines=(1, 16), deep=(1,), many_keys=10_000,
              one_key_pipelines=(16,), value_sizes=(10, 10_000), many_connections=100, multigets=(10,),
              load_parts=(0.1, 0.5), memory_items=20_000, start_heap_mb=1024)


def cases(*choices, **fixed):
    """All combinations of (field, values)."""
    names = [name for name, _ in choices]
    combinations = itertools.product(*(values for _, values in choices))
    return tuple(Case(**dict(zip(names, values)), **fixed) for values in combinations)


def fitting_keys(keys, value_bytes):
    return min(keys, int(STORED_BYTES_MAX / (value_bytes + ITEM_EXTRA_BYTES)))


def throughput(runner):
    pipelines = runner.scale.pipelines
    return runner.run(Stage(cases(('workload', ('get', 'set', 'mix', 'ping')), ('pipeline', pipelines))))


def keys(runner):
    """The same servers are asked for one key, too, so that both can be compared."""
    many = fitting_keys(runner.scale.many_keys, 100)
    wanted = cases(('workload', ('get', 'set', 'mix')), ('pipeline', runner.scale.pipelines), keys=many)
    wanted += cases(('workload', ('get', 'set')), ('pipeline', runner.scale.one_key_pipelines))
    return runner.run(Stage(wanted, keys=many))


def sizes(runner):
    return [cell for size in runner.scale.value_sizes for cell in runner.run(Stage(
        cases(('workload', ('get', 'set')), ('pipeline', runner.scale.deep), value_bytes=size), value_bytes=size))]


def connections(runner):
    return runner.run(Stage(cases(('workload', ('get', 'set')), ('pipeline', runner.scale.pipelines),
                                  connections=runner.scale.many_connections)))


def tls(runner):
    wanted = cases(('workload', ('get', 'set', 'mix')), ('pipeline', runner.scale.pipelines), tls=True)
    wanted += cases(('workload', ('ping',)), ('pipeline', runner.scale.deep), tls=True)
    wanted += cases(('workload', ('handshake', 'resumed handshake')), tls=True)
    return runner.run(Stage(wanted, tls=True))


def multiget(runner):
    """Of different keys: a server may not answer ten times out of one cache line."""
    many = min(1_000, runner.scale.many_keys)
    return runner.run(Stage(cases(('multiget', runner.scale.multigets), keys=many), keys=many))


def latency(runner):
    """Open loops. A server is saturated when 50 clients that each wait for their reply keep it busy."""
    saturated = runner.run(Stage((Case(),)))
    rates = {cell['server']: round(statistics.median(run['rate'] for run in cell['runs']))
             for cell in saturated if cell['runs'] and cell['server'] != 'echo'}
    ours = [rate for name, rate in rates.items() if name.startswith('pelikan-')]
    shared = {round(part * rate) for rate in ours for part in (0.5, 0.8)} | {
        rate for name, rate in rates.items() if not name.startswith('pelikan-')}
    own = {name: {round(part * rate) for part in runner.scale.load_parts} for name, rate in rates.items()}
    every = shared.union(*own.values())
    loads = Stage(tuple(Case(rate=rate) for rate in sorted(every)))
    return saturated + runner.run(loads, wanted=lambda case, name: case.rate in shared | own.get(name, set()))


def memory(runner):
    return [cell for size in sorted({100, *runner.scale.value_sizes}) for cell in runner.run_memory(
        fitting_keys(runner.scale.memory_items, size), size)]


def start(runner):
    return runner.run_start(runner.scale.start_heap_mb)


def full(runner):
    """The cross product."""
    found = []
    many_keys = runner.scale.many_keys
    for secure, size, many in itertools.product((False, True), sorted({100, *runner.scale.value_sizes}), (False, True)):
        stored = fitting_keys(many_keys, size) if many else 1
        found += runner.run(Stage(
            cases(('workload', ('get', 'set', 'mix')), ('pipeline', runner.scale.pipelines),
                  ('connections', (50, runner.scale.many_connections)), keys=stored, value_bytes=size, tls=secure),
            keys=stored, value_bytes=size, tls=secure))
    return found


GROUPS = {group.__name__: group for group in (throughput, keys, sizes, connections, tls, multiget, latency, memory,
                                              start)}
