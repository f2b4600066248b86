"""The results as SVG, drawn by gnuplot. They follow the viewer's light or dark scheme."""
import subprocess
import typing

from .ratios import usable

# In gnuplot's spelling in the SVG, and what they become on a dark ground.
GROUND, TEXT, AXIS, GRID = '#fefefe', '#1f2328', '#57606a', '#d0d7de'
DARK = """<style>@media (prefers-color-scheme: dark) {
[fill="#fefefe"] { fill: #161b22 } [fill="rgb(31,35,40)"] { fill: #e6edf3 }
[stroke="rgb( 87,  96, 106)"] { stroke: #8b949e } [stroke="rgb(208, 215, 222)"] { stroke: #30363d }
}</style>
"""
COLOURS = {'pelikan-segcache': '#0072b2', 'pelikan-pingserver': '#009e73', 'echo': '#7f7f7f', 'memcached': '#d55e00',
           'redis': '#b65c93'}
MORE_COLOURS = ('#8a63d2', '#a87900', '#c8443c')
HEAD = f"""\
set terminal svg size 760,400 font 'system-ui,sans-serif,13' background rgb '{GROUND}'
set border 3 lc rgb '{AXIS}'
set tics nomirror textcolor rgb '{TEXT}'
set grid lt 1 lc rgb '{GRID}'
set key outside right top Left reverse textcolor rgb '{TEXT}'
set encoding utf8
"""


class ChartError(Exception):
    """One line of what gnuplot says."""


class Chart(typing.NamedTuple):
    file: str
    title: str
    x: str           # what is on the axis
    y: str
    x_of: typing.Callable  # of a cell's case
    value: str       # of the cell's runs
    of_case: typing.Callable  # which cases
    log_x: bool = False
    log_y: bool = False


def pipelines(file, title, **fields):
    return Chart(file, title, 'pipeline', 'requests/s', lambda case: case['pipeline'], 'rate',
                 lambda case: all(case[name] == value for name, value in fields.items()), True, True)


def many_keys(workload):
    chart = pipelines(f'keys-{workload}', f'{workload} of many keys by zipf 0.99, 50 connections')
    return chart._replace(of_case=lambda case: case['workload'] == workload and case['keys'] > 1)


def by_size(workload):
    return Chart(f'sizes-{workload}', f'{workload} by the size of the value, pipeline 1', 'bytes of a value',
                 'requests/s', lambda case: case['value_bytes'], 'rate',
                 lambda case: case['workload'] == workload and case['pipeline'] == 1, True)


def by_load(percentile):
    return Chart(f'latency-{percentile}', f'{percentile} at a given load', 'requests offered per second', 'us',
                 lambda case: case['rate'], f'{percentile}_us', lambda case: case['rate'] > 0, False, True)


CHARTS = {
    'throughput': [pipelines('throughput-get', 'get, 50 connections', workload='get'),
                   pipelines('throughput-set', 'set, 50 connections', workload='set'),
                   pipelines('throughput-ping', 'ping, 50 connections', workload='ping')],
    'keys': [many_keys('get'), many_keys('set')],
    'connections': [pipelines('connections-get', 'get, many connections', workload='get')],
    'sizes': [by_size('get'), by_size('set')],
    'tls': [pipelines('tls-get', 'get over TLS 1.3, 50 connections', workload='get')],
    'latency': [by_load('p99'), by_load('p999')],
    'memory': [Chart('memory', 'memory of an item beyond its key and value', 'bytes of a value', 'bytes',
                     lambda case: case['value_bytes'], 'overhead_bytes', lambda case: True, True, True)]}


def lines_of(chart, cells):
    """{server: [(x, median, least, most)]}"""
    lines = {}
    for cell in cells:
        if usable(cell) and chart.of_case(cell['case']):
            of_runs = cell['of_runs'][chart.value]
            lines.setdefault(cell['server'], []).append(
                (chart.x_of(cell['case']), of_runs['median'], of_runs['min'], of_runs['max']))
    order = [*COLOURS, *lines]
    return {server: sorted(lines[server]) for server in sorted(lines, key=order.index)}


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def script(chart, lines):
    """What gnuplot is to do."""
    words = [HEAD, f'set title {quoted(chart.title)} textcolor rgb "{TEXT}"']
    words += [f'set {axis}label {quoted(label)} textcolor rgb "{TEXT}"'
              for axis, label in (('x', chart.x), ('y', chart.y))]
    xs = sorted({point[0] for points in lines.values() for point in points})
    if chart.log_x:
        marks = ', '.join(f'{quoted(f"{x:,}")} {x}' for x in xs)
        words += ['set logscale x', f'set xtics ({marks})', f'set xrange [{xs[0] / 1.2}:{xs[-1] * 1.2}]']
    else:
        words += ['set xrange [0:]', "set format x '%.0s%c'"]
    words += (['set logscale y', "set format y '%.0s%c'"] if chart.log_y else
              ['set yrange [0:]', "set format y '%.1s%c'"])
    more = iter(MORE_COLOURS * len(lines))
    plots = []
    for index, (server, points) in enumerate(lines.items()):
        words += [f'$data{index} << END', *(' '.join(map(str, point)) for point in points), 'END']
        plots.append(f'$data{index} using 1:2:3:4 with yerrorlines lw 2 pt 7 ps 0.6 lc rgb '
                     f'{quoted(COLOURS.get(server) or next(more))} title {quoted(server)} noenhanced')
    return '\n'.join([*words, 'plot ' + ', '.join(plots)]) + '\n'


def draw(groups, folder):
    """Returns {group: [file name]}."""
    drawn = {}
    for name in groups:
        for chart in CHARTS.get(name, []):
            if not (lines := lines_of(chart, groups[name]['cells'])):
                continue
            done = subprocess.run(['gnuplot'], input=script(chart, lines), capture_output=True, text=True, timeout=60,
                                  check=False)
            if done.returncode != 0 or not done.stdout:
                raise ChartError(f'gnuplot, {chart.file}: {done.stderr.strip()}')
            canvas = '<g id="gnuplot_canvas">'
            svg = done.stdout.replace(canvas, DARK + canvas).replace('<title>Gnuplot</title>',
                                                                     f'<title>{chart.title}</title>')
            (folder / f'{chart.file}.svg').write_text(svg, encoding='utf-8')
            drawn.setdefault(name, []).append(f'{chart.file}.svg')
    return drawn
