"""The results as Markdown."""
from .aims import aims
from .ratios import disturbed, generator_bound, median, ping_as_get, server_busy, to_best_peer, to_ceiling, usable

TITLES = {'throughput': 'Throughput', 'keys': 'Many keys', 'sizes': 'Sizes of values',
          'connections': 'Many connections', 'tls': 'TLS 1.3', 'multiget': 'Multi-get',
          'latency': 'Latency under a given load', 'memory': 'Memory of an item', 'start': 'Time to start',
          'full': 'The cross product'}
NOTES = {
    'keys': 'Each server holds all the keys; they are asked for by zipf 0.99, or one of them always.',
    'tls': 'One ECDSA P-256 certificate. A client pays as much for a handshake as a server: compare the CPU time.',
    'multiget': 'Rates are of requests, each for so many different keys of 1,000.',
    'latency': 'Requests come at their times, as from many clients that do not wait for each other, and latency counts '
               'from then.\n*Saturation* is the rate of 50 connections that do wait. A round in which the generator '
               'was late is left out, if there is another. *echo* shows what the machine itself does to latency.',
    'memory': 'What the resident set grows by, over the items: index, headers, padding and all.',
    'start': 'From the start of the program until the first reply to a `get`.'}


def table(header, rows):
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines) + '\n'


def number(value, form=',.0f'):
    return '' if value is None else format(value, form)


def of(cell, name, form=',.0f'):
    return number(median(cell, name), form)


def spread(cell, name, form=',.0f'):
    found = cell['of_runs'].get(name)
    return f'{found["min"]:{form}} to {found["max"]:{form}}' if found else ''


def times(got):
    return '' if got is None else f'{got[0]:.2f}{"*" if got[1] else ""}'


def rows_of(cells, header, measured):
    """Those of `measured(cell)` after the case and the server; or why there are none."""
    return table(header, [
        [cell['text'], cell['server'], *(measured(cell) if usable(cell) else
                                         ['failed: ' + cell['failed'].replace('|', '/'), *[''] * (len(header) - 3)])]
        for cell in cells])


def closed_loops(cells):
    header = ['case', 'server', 'per second', 'spread', 'to best peer', 'to ceiling', 'p99 us', 'p999 us', 'CPU us',
              'server busy', 'generator busy']

    def measured(cell):
        bound = ' !' if generator_bound(cell) else ' ?' if disturbed(cell) else ''
        return [of(cell, 'rate') + bound, spread(cell, 'rate'), times(to_best_peer(cells, ping_as_get(cell))),
                times(to_ceiling(cells, cell)), of(cell, 'p99_us'), of(cell, 'p999_us'), of(cell, 'cpu_us', '.2f'),
                f'{server_busy(cell):.0%}', of(cell, 'generator_busy', '.0%')]
    return rows_of(cells, header, measured)


def open_loops(cells):
    header = ['case', 'server', 'sent per second', 'p50 us', 'p99 us', 'p999 us', 'spread of p999', 'CPU us', 'remarks']

    def measured(cell):
        late = sum(not run['generator_kept_up'] for run in cell['runs'])
        overloaded = sum(run['never_sent'] > 0 for run in cell['runs'])
        remarks = [f'{text} in {count} of {len(cell["runs"])}' for text, count in
                   (('the generator was late', late), ('some were never sent', overloaded)) if count]
        return [of(cell, 'achieved_rate'), of(cell, 'p50_us'), of(cell, 'p99_us'), of(cell, 'p999_us'),
                spread(cell, 'p999_us'), of(cell, 'cpu_us', '.2f'), '; '.join(remarks)]
    return rows_of(cells, header, measured)


def latencies(cells):
    closed, opened = ([cell for cell in cells if bool(cell['case']['rate']) == is_open] for is_open in (False, True))
    return closed_loops(closed) + '\n' + open_loops(opened)


def items(cells):
    return rows_of(cells, ['case', 'server', 'bytes per item', 'beyond key and value'],
                   lambda cell: [of(cell, 'bytes_per_item', ',.1f'), of(cell, 'overhead_bytes', ',.1f')])


def starts(cells):
    return rows_of(cells, ['case', 'server', 'seconds', 'spread'],
                   lambda cell: [of(cell, 'start_s', '.3f'), spread(cell, 'start_s', '.3f')])


TABLES = {'latency': latencies, 'memory': items, 'start': starts}


def group_table(name, group):
    note = NOTES.get(name)
    return (f'## {TITLES[name]}\n\n' + (f'{note}\n\n' if note else '')
            + ', '.join(filter(None, (group['date'], group['revision'], group['rounds']))) + '.\n\n'
            + TABLES.get(name, closed_loops)(group['cells']))


def aims_table(groups):
    rows = [[aim.case, aim.aim, aim.measured or 'not measured', 'yes' if aim.reached else '**no**']
            for aim in aims(groups)]
    return '## Aims\n\n' + table(['case', 'aim', 'measured', 'reached'], rows)


LEGEND = """\
Medians of the rounds, in which all servers take turns; *spread* is the least and the most. One worker thread each,
pinned to one core; the generator has another. Unless a case says otherwise: 50 connections, plain text, one key of 20
bytes with a value of 100. *To best peer* and *to ceiling* are rates divided by those of the best other server and of an
echo server that parses nothing, in the same round. A rate with `!` is the generator's: it was busy and the server was
not; then, and for handshakes, a ratio is one of requests per CPU second, and has a `*`. With `?` neither was busy:
other work took their cores, and the row says little. *CPU us* is the server's processor time for each request. A ping
is compared with the peers' `get`.
"""


def page(results, charts):
    """`charts` has the SVG files of each group."""
    groups, machine = results['groups'], results['machine']
    parts = ['# Results', 'Written by `scripts/compare`: do not edit. [README.md](README.md) says how to repeat it.',
             LEGEND.rstrip(), ', '.join(f'{name} {value}' for name, value in machine.items() if value) + '.',
             aims_table(groups).rstrip()]
    for name in (name for name in TITLES if name in groups and name != 'full'):  # that has a page of its own
        parts.append(group_table(name, groups[name]).rstrip())
        parts += [f'![{TITLES[name]}]({chart})' for chart in charts.get(name, [])]
    return '\n\n'.join(parts) + '\n'
