"""What cells say of each other. Ratios are taken within each round and then their median, because the machine's speed
drifts from round to round."""
import dataclasses
import statistics

from .cases import HANDSHAKES, Case

BUSY, IDLE = 0.95, 0.8
CEILING = 'echo'


def median(cell, name):
    """Of the cell's runs; None when it was not measured."""
    return cell['of_runs'].get(name, {}).get('median')


def server_busy(cell):
    return median(cell, 'rate') * median(cell, 'cpu_us') / 1e6


def generator_bound(cell):
    """The rate is the generator's: it was busy while the server was not."""
    return median(cell, 'generator_busy') >= BUSY > server_busy(cell)


def disturbed(cell):
    """Nobody was busy in a closed loop: both waited for their cores, which had other work."""
    return max(median(cell, 'generator_busy'), server_busy(cell)) < IDLE


def generator_late(cell):
    """In every round of an open loop, so that its latencies are the generator's."""
    return not any(run.get('generator_kept_up', True) for run in cell['runs'])


def is_peer(name):
    return name != CEILING and not name.startswith('pelikan-')


def same_case(cells, cell):
    return [other for other in cells if other['case'] == cell['case']]


def ratio(cell, other, per_cpu=False):
    """(cell's rate over the other's, is it per CPU second). The latter when asked for, when the rate of one is the
    generator's, and for handshakes, which cost a client as much as a server. None when one was not measured."""
    if not usable(cell) or not usable(other):
        return None
    per_cpu |= generator_bound(cell) or generator_bound(other) or cell['case']['workload'] in HANDSHAKES
    pairs = list(zip(cell['runs'], other['runs']))
    if not per_cpu:
        return statistics.median(mine['rate'] / its['rate'] for mine, its in pairs), False
    if not all(run['cpu_us'] for pair in pairs for run in pair):  # too short a run for the clock of processor time
        return None
    return statistics.median(its['cpu_us'] / mine['cpu_us'] for mine, its in pairs), True


def usable(cell):
    return cell is not None and not cell['failed'] and bool(cell['runs'])


def to_best_peer(cells, cell, per_cpu=False):
    """The least of the ratios to the peers."""
    found = [each for other in same_case(cells, cell) if is_peer(other['server']) and other is not cell
             if (each := ratio(cell, other, per_cpu))]
    return min(found, default=None)


def ping_as_get(cell):
    """What a ping is compared with where there is no other ping."""
    return {**cell, 'case': {**cell['case'], 'workload': 'get'}} if cell['case'].get('workload') == 'ping' else cell


def to_ceiling(cells, cell):
    for other in same_case(cells, cell):
        if other['server'] == CEILING and other is not cell:
            return ratio(cell, other)
    return None


def find(cells, server, **fields):
    """The cell of this server and the base case with these fields; None."""
    case = dataclasses.asdict(Case(**fields))
    return next((cell for cell in cells if cell['server'] == server and cell['case'] == case), None)
