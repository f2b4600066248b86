"""What was aimed at, and what a run has reached."""
import typing

from .ratios import CEILING, find, generator_late, is_peer, median, ratio, to_best_peer, to_ceiling, usable

OURS, PING = 'pelikan-segcache', 'pelikan-pingserver'


class Aim(typing.NamedTuple):
    case: str
    aim: str
    measured: str  # '' if it was not
    reached: bool


def at_least(case, wanted, what, got):
    """`got` is what ratio() returns."""
    aim = f'at least {wanted} {what}'
    if got is None:
        return Aim(case, aim, '', False)
    value, per_cpu = got
    return Aim(case, aim, f'{value:.3f}{" per CPU second" if per_cpu else ""}', value >= wanted)


def with_cell(function, cells, cell, **options):
    return function(cells, cell, **options) if cell else None


def throughput_aims(cells):
    for pipeline, of_ceiling, times in ((1, 0.92, 1.3), (16, 0.75, 1.7), (64, 0.6, 2.5)):
        case, ours = f'get, pipeline {pipeline}', find(cells, OURS, pipeline=pipeline)
        yield at_least(case, of_ceiling, 'of the ceiling', with_cell(to_ceiling, cells, ours))
        if pipeline == 1:
            for name in ('memcached', 'redis'):
                yield at_least(case, times, f'times {name}', ratio(ours, find(cells, name)))
        else:
            yield at_least(case, times, 'times the best peer', with_cell(to_best_peer, cells, ours))
    ours = find(cells, OURS, workload='set', pipeline=16)
    yield at_least('set, pipeline 16', 1.5, 'times the best peer', with_cell(to_best_peer, cells, ours))
    for pipeline, of_ceiling in ((1, 0.97), (64, 0.85)):
        ours = find(cells, PING, workload='ping', pipeline=pipeline)
        yield at_least(f'ping, pipeline {pipeline}', of_ceiling, 'of the ceiling', with_cell(to_ceiling, cells, ours))


def key_aims(cells):
    many = max((cell['case']['keys'] for cell in cells), default=0)
    for pipeline in (16, 64):
        got = ratio(find(cells, OURS, pipeline=pipeline, keys=many), find(cells, OURS, pipeline=pipeline))
        yield at_least(f'get, pipeline {pipeline}, {many:,} keys', 0.85, 'of the rate with one key', got)


def multiget_aims(cells):
    keys = max((cell['case']['keys'] for cell in cells), default=0)
    ours, theirs = (find(cells, name, multiget=100, keys=keys) for name in (OURS, 'memcached'))
    yield at_least('get of 100 keys', 2, 'times memcached', ratio(ours, theirs))


def tls_aims(cells):
    for pipeline, times in ((1, 1.4), (16, 2)):
        ours, theirs = (find(cells, name, pipeline=pipeline, tls=True) for name in (OURS, 'memcached'))
        yield at_least(f'get over TLS 1.3, pipeline {pipeline}', times, 'times memcached', ratio(ours, theirs, True))


def latency_aims(cells):
    saturated = {cell['server']: median(cell, 'rate') for cell in cells if not cell['case']['rate'] and usable(cell)}
    loads = [(f'{part:.0%} of our saturation', round(part * saturated[OURS])) for part in (0.5, 0.8)
             if OURS in saturated]
    loads += [(f'the saturation of {name}', round(rate)) for name, rate in saturated.items() if is_peer(name)]
    for load, rate in loads:
        ours = find(cells, OURS, rate=rate)
        theirs = [(median(cell, 'p999_us'), cell['server']) for cell in cells
                  if cell['case']['rate'] == rate and is_peer(cell['server']) and usable(cell)]
        if not usable(ours) or not theirs:
            yield Aim(f'p999 at {load}', "below the best peer's", '', False)
            continue
        mine, (best, name), echo = median(ours, 'p999_us'), min(theirs), find(cells, CEILING, rate=rate)
        ceiling = f', the ceiling {median(echo, "p999_us"):,.0f} us' if usable(echo) else ''
        late = generator_late(ours) or generator_late(find(cells, name, rate=rate))
        yield Aim(f'p999 at {load} ({rate:,}/s)', "below the best peer's",
                  f'{mine:,.0f} us, {name} {best:,.0f} us{ceiling}{", but the generator was late" if late else ""}',
                  mine < best and not late)


def start_aims(cells):
    for cell in cells:
        if cell['server'] == OURS:
            seconds = median(cell, 'start_s')
            yield Aim(f'start with a heap of {cell["text"]}', 'ready in under 1 s',
                      '' if seconds is None else f'{seconds:.3f} s', seconds is not None and seconds < 1)


AIMS = {'throughput': throughput_aims, 'keys': key_aims, 'multiget': multiget_aims, 'tls': tls_aims,
        'latency': latency_aims, 'start': start_aims}


def aims(groups):
    """Of the groups that were measured."""
    return [aim for name, of_group in AIMS.items() if name in groups for aim in of_group(groups[name]['cells'])]
