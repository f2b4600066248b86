"""Random command sequences, well formed and not, to a real memcached and to pelikan-segcache: reply for reply the same.

    memcached_oracle.py PELIKAN_SEGCACHE [--memcached PATH] [--sessions N] [--steps N] [--seed S]

Each session is a new connection to each server, after a flush_all. A step is one command (with its data) and
`version`, whose reply shows where the step's replies end. Tokens of gets are compared by what they do: a cas sends each
server its own.

The reference is Debian's memcached 1.6.18; we answer as 1.6.45 does. Where the two differ a rule of DIFFERENCES says
so, by what was sent and what each of the two said; docs/memcached-differences.md is the same table in words. A
difference without a rule is a failure. After a difference both caches are flushed, because what they hold may differ
too. memcached's maintenance thread is off: an incr that meets it writes a new value instead of padding the old one.
"""
import argparse
import collections
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from harness import Server  # noqa: E402

REPLY_TIMEOUT_S = 10
SENTINEL = b'version\r\n'
VALUE_LINE = re.compile(rb'(VALUE [^ ]+ \d+ (\d+))( \d+)?\r\n')
CAS_PLACE = b'{token}'

BAD_FORMAT = rb'CLIENT_ERROR bad command line format\r\n'
NO_WORDS = rb'(get|gets|gat|gats|set|add|replace|append|prepend|cas|incr|decr|delete|touch)'
STORE = rb'(set|add|replace|append|prepend|cas)'
ANY = rb'(?s:.*)'

# name, the line that was sent, what 1.6.18 says, what we say. Each a regular expression for the whole, but for lines
# that both say at the end: data after a command that was refused by both.
DIFFERENCES = [
    ('short-line', rb'.{0,2}\r*', rb'ERROR\r\n', BAD_FORMAT),
    ('short-line', STORE + rb' .*', rb'(CLIENT_ERROR bad data chunk\r\n)?(ERROR\r\n)+',
     rb'(CLIENT_ERROR bad data chunk\r\n)?(ERROR\r\n|' + BAD_FORMAT + rb')+'),
    ('long-line', rb'.{2048,}', ANY, rb'<closed>'),
    ('leading-blank', rb' +.*', ANY, rb'((ERROR\r\n|' + BAD_FORMAT + rb')' + ANY + rb')?'),
    ('missing-words', NO_WORDS + rb'( .*)?', rb'(ERROR|END|CLIENT_ERROR invalid exptime argument)\r\n' + ANY,
     BAD_FORMAT + ANY),
    ('extra-words', STORE + rb'( +[^ ]+){5,}', rb'ERROR\r\n' + ANY, ANY),
    ('extra-words', rb'(incr|decr|touch)( +[^ ]+){3,}', rb'ERROR\r\n', ANY),
    ('extra-words', rb'(flush_all|verbosity|cache_memlimit)( +[^ ]+){2,}', rb'ERROR\r\n', ANY),
    ('delete-with-words', rb'delete( +[^ ]+){2,}',
     rb'(ERROR|CLIENT_ERROR bad command line format.  Usage: delete <key> \[noreply\])\r\n',
     rb'((DELETED|NOT_FOUND|ERROR)\r\n)?'),
    ('refused-store-swallows', STORE + rb' .*',
     rb'(' + BAD_FORMAT + rb')?(ERROR\r\n|' + BAD_FORMAT + rb')' + ANY, rb'(' + BAD_FORMAT + rb'){0,2}'),
    ('number-forms', rb'.* (\+[0-9]+|[0-9]{10,})( .*)?', ANY,
     rb'((' + BAD_FORMAT + rb'|CLIENT_ERROR invalid [^\n]*\n|ERROR\r\n)' + ANY + rb')?'),
    ('unknown-noreply', rb'(.* )?noreply *', rb'ERROR\r\n', rb''),
    ('delete-noreply', rb'delete +noreply *', rb'(DELETED|NOT_FOUND)\r\n', rb''),
    ('shutdown-text', rb'shutdown( .*)? noreply *', rb'ERROR: shutdown not enabled\r\n', rb''),
    ('shutdown-text', rb'shutdown.*', rb'ERROR: shutdown not enabled\r\n', rb'SERVER_ERROR: shutdown not enabled\r\n'),
    ('memory-limit-is-fixed', rb'cache_memlimit .*', rb'(OK\r\n)?',
     rb'(MEMLIMIT_ADJUST_FAILED out of bounds[^\n]*\n)?'),
    ('http-closes', rb'.* HTTP/[^ ]*', rb'(ERROR\r\n)?', rb'<closed>'),
    ('meta-commands', STORE + rb' .*', rb'CLIENT_ERROR bad data chunk\r\nMN\r\n',
     rb'CLIENT_ERROR bad data chunk\r\nERROR\r\n'),
    ('rl-commands', rb'(ap|pre)pendrl .*', rb'ERROR\r\n' + ANY, rb'(([0-9]+|NOT_STORED|CLIENT_ERROR [^\n]*)\r\n)?'),
]
# 1.6.18 looks for the minus of a number above 2^63 as far as the next zero byte, beyond the value's end: what an
# earlier item left there decides. Not a matter of patterns alone: the old number must have been one of those.
BEHIND_THE_VALUE = 'minus-behind-the-value'
LONG_NUMBER, NUMBER_BYTES_MAX = 'long-number', 256
DELAYED_FLUSH = re.compile(rb'flush_all +[^ \r\n]')
NEW_EXPIRY = re.compile(rb'(touch|gat) ')
ARITHMETIC = re.compile(rb'(incr|decr) +[^ ]+ +(\d+)( .*)?')
NON_NUMERIC = b'CLIENT_ERROR cannot increment or decrement non-numeric value\r\n'
RULES = [(name, *(re.compile(part, re.DOTALL) for part in parts)) for name, *parts in DIFFERENCES]


class Client:
    """One connection, and the last token that a gets of it showed."""

    def __init__(self, family, address):
        self.socket = socket.socket(family)
        self.socket.settimeout(REPLY_TIMEOUT_S)
        self.socket.connect(address)
        self.token, self.closed = b'1', False

    def ask(self, step):
        """The replies to `step`, without the sentinel's."""
        received = b''
        try:
            self.socket.sendall(step.replace(CAS_PLACE, self.token) + SENTINEL)
            if NEW_EXPIRY.match(step):
                self.token = b'0'  # to us a new expiry may be a new version
            while not (end := re.search(rb'VERSION [0-9.]+\r\n\Z', received)):
                piece = self.socket.recv(1 << 16)
                if not piece:
                    self.closed = True
                    return self.comparable(received) + b'<closed>'
                received += piece
        except TimeoutError:
            return received + b'<silent>'
        except (ConnectionResetError, BrokenPipeError):
            self.closed = True
            return self.comparable(received) + b'<closed>'
        if received.startswith(b'STAT pid '):
            return b'<stats>'
        if received.startswith(b'ITEM '):  # a cachedump: which class an item is in depends on the storage
            return b'END\r\n'
        return self.comparable(received[:end.start()])

    def comparable(self, reply):
        """VALUE lines lose their token and VERSION lines their number; values are skipped by their length."""
        out, at = b'', 0
        while at < len(reply):
            value = VALUE_LINE.match(reply, at)
            end = value.end() + int(value[2]) + 2 if value else reply.find(b'\n', at) + 1 or len(reply)
            if reply.startswith(b'VERSION ', at):
                out += b'VERSION <number>\r\n'
            elif value and value[3]:
                self.token = value[3].strip()
                out += value[1] + b' <token>' + reply[value.end(3):end]
            else:
                out += reply[at:end]
            at = end
        return out

    def close(self):
        self.socket.close()


class Generator:
    """Makes steps: most of them as a client would, a third with something wrong."""

    KEYS = [b'a', b'bb', b'key:1', b'key:2', b'k' * 250, b'n', b'm', b'\x01\xff\t']
    LONG_KEY = b'k' * 251
    NUMBERS = [b'0', b'1', b'9', b'10', b'99', b'100', b'0005', b' 7', b'7 ', b'x', b'', b'-5', b'1a',
               b'18446744073709551615', b'18446744073709551616', b'9223372036854775808', b'1.5', b'12 abc', b'+3',
               b'1' * 21]
    ODD_WORDS = [b'-1', b'abc', b'+1', b'99999999999', b'4294967296', b'18446744073709551616', b'noreply', b'0', b'1',
                 b'a b', b'1.5', b'--', b'2147483648', LONG_KEY]
    COMMANDS = [b'get', b'set', b'incr', b'frob', b'GET', b'version', b'stats', b'delete', b'gat', b'touch',
                b'verbosity']
    LINES = [b'flush_all', b'flush_all 0', b'flush_all noreply', b'flush_all -1', b'flush_all abc', b'verbosity 0',
             b'verbosity foo', b'verbosity', b'verbosity foo bar my', b'verbosity noreply', b'cache_memlimit 7',
             b'cache_memlimit', b'cache_memlimit x', b'shutdown', b'stats foo', b'stats detail', b'stats cachedump',
             b'stats cachedump 1', b'stats cachedump x 1', b'stats cachedump 64 1', b'stats sizes', b'stats reset',
             b'version', b'frob', b'GET / HTTP/1.1']

    def __init__(self, seed):
        self.random = random.Random(seed)

    def key(self):
        return self.random.choice(self.KEYS)

    def value(self):
        kind = self.random.random()
        if kind < 0.5:
            return self.random.choice(self.NUMBERS)
        if kind < 0.95:
            return self.random.randbytes(self.random.randrange(64)).replace(b'VERSION', b'version')
        return b'v' * self.random.choice([0, 1000, 10000, 100000, 1040000])

    def exptime(self):
        return self.random.choice([b'0', b'0', b'0', b'1000', b'-1', b'2592000', b'2592001', b'2000000000'])

    def noreply(self):
        return b' noreply' if self.random.random() < 0.1 else b''

    def store(self, command=None):
        command = command or self.random.choice([b'set'] * 4 + [b'add', b'replace', b'append', b'prepend', b'cas'])
        flags = self.random.choice([b'0', b'1', b'4294967295', b'4294967296'])
        value = self.value()
        line = b' '.join([command, self.key(), flags, self.exptime(), b'%d' % len(value)])
        if command == b'cas':
            line += b' ' + self.random.choice([CAS_PLACE, CAS_PLACE, b'1', b'18446744073709551615'])
        return line + self.noreply(), value + b'\r\n'

    def line(self):
        choose = self.random.choice
        kind = self.random.random()
        keys = b' '.join(self.key() for _ in range(choose([1, 1, 1, 2, 5, 30])))
        if kind < 0.45:
            return choose([b'get ', b'gets ']) + keys
        if kind < 0.65:
            delta = choose([b'0', b'1', b'5', b'1000', b'18446744073709551615'])
            return b' '.join([choose([b'incr', b'decr']), self.key(), delta]) + self.noreply()
        if kind < 0.75:
            return b'delete ' + self.key() + self.noreply()
        if kind < 0.82:
            return b' '.join([b'touch', self.key(), self.exptime()]) + self.noreply()
        if kind < 0.9:
            return b' '.join([choose([b'gat', b'gats']), self.exptime(), keys])
        return choose(self.LINES)

    def spoil(self, line):
        """One thing wrong with a line."""
        words = line.split(b' ')
        at = self.random.randrange(len(words))
        kind = self.random.randrange(10)
        if kind == 0:
            del words[at]
        elif kind == 1:
            words.insert(at, words[at])
        elif kind in (2, 3, 4):
            words[at] = self.random.choice(self.ODD_WORDS if at else self.COMMANDS)
        elif kind == 5:
            words.append(self.random.choice(self.ODD_WORDS))
        elif kind == 6:
            words.insert(at, b'')
        elif kind == 7:
            words[0] = words[0].upper()
        elif kind == 8:
            words = [re.sub(b'[\0\n]', b'', self.random.randbytes(self.random.randrange(1, 40)))]
        else:
            words[-1] += b' ' * self.random.randrange(3)
        return b' '.join(words)

    def step(self):
        """What to send, and whether it is as a client would."""
        kind = self.random.random()
        ending = self.random.choice([b'\r\n'] * 9 + [b'\n'])
        if kind < 0.30:
            line, data = self.store()
            return line + ending + data, True
        if kind < 0.66:
            return self.line() + ending, True
        if kind < 0.72:  # data that is longer than the line says, as far as the next line
            line, data = self.store()
            words = line.split(b' ')
            words[4] = b'%d' % max(0, int(words[4]) - self.random.randrange(1, 4))
            return b' '.join(words) + ending + data, False
        if kind < 0.73:
            return b'%s a 0 0 2000000\r\n%s\r\n' % (self.random.choice([b'set', b'add']), b'y' * 2000000), True
        if kind < 0.87:
            return self.spoil(self.line()) + ending, False
        if kind < 0.97:
            return self.spoiled_store(ending), False
        return self.random.choice([b'', b'x', b' ', b'\r']) + ending, False

    @staticmethod
    def reads_as_one_line(data):
        """Of a length that lines may have, and not one of the short ones, where every answer would differ."""
        return 4 <= len(data) <= 1000 and b'\n' not in data[:-2]

    def spoiled_store(self, ending):
        """A store with a wrong line. Its length is never beyond the data, or the next step would be data, too."""
        while True:
            line, data = self.store()
            line = self.spoil(line)
            words = line.split()
            lengths = [int(word) for word in words[4:5] if re.fullmatch(rb'\+?[0-9]+', word)]
            if all(length <= len(data) - 2 for length in lengths) and self.reads_as_one_line(data):
                return line + ending + data


def without_common_end(reference, ours):
    """The two replies less the lines that both end in."""
    theirs, mine = reference.splitlines(keepends=True), ours.splitlines(keepends=True)
    while theirs and mine and theirs[-1] == mine[-1]:
        theirs.pop()
        mine.pop()
    return b''.join(theirs), b''.join(mine)


def was_above_signed(line, reference, ours):
    """Refused there and changed here, and the number was above 2^63 before."""
    sent, number = ARITHMETIC.fullmatch(line), re.fullmatch(rb'(\d+)\r\n', ours)
    if not sent or not number or reference != NON_NUMERIC:
        return False
    delta, after = int(sent[2]), int(number[1])
    return ((after - delta) % 2**64 if sent[1] == b'incr' else after + delta) >= 2**63


def difference_rule(step, reference, ours):
    line = step[:step.index(b'\n')].removesuffix(b'\r')
    if was_above_signed(line, reference, ours):
        return BEHIND_THE_VALUE
    for theirs, mine in ((reference, ours), without_common_end(reference, ours)):
        for name, sent, their_pattern, my_pattern in RULES:
            if sent.fullmatch(line) and their_pattern.fullmatch(theirs) and my_pattern.fullmatch(mine):
                return name
    return None


def shown(data):
    return repr(data if len(data) < 400 else data[:200] + b'...' + data[-100:])


class Comparison:
    def __init__(self, connect_reference, connect_ours, generator):
        self.connect = (connect_reference, connect_ours)
        self.generator = generator
        self.steps, self.rules, self.failures = 0, collections.Counter(), []

    def session(self, steps):
        clients = [connect() for connect in self.connect]
        self.flush(clients)
        history = []
        for _ in range(steps):
            step, well_formed = self.generator.step()
            history.append(step)
            reference, ours = (client.ask(step) for client in clients)
            self.steps += 1
            if reference != ours:
                rule = difference_rule(step, reference, ours)
                if rule := rule or self.long_number(clients[1], step, reference, ours):
                    self.rules[rule] += 1
                else:
                    self.failures.append((history[-4:], reference, ours))
                if any(client.closed for client in clients) or b'<silent>' in reference + ours:
                    break
                self.flush(clients)
            elif clients[0].closed:
                break
            elif b'noreply' in step and (not well_formed or ARITHMETIC.match(step)):  # may have differed, in silence
                self.flush(clients)
            elif step.startswith(b'gat') and b'CLIENT_ERROR' in reference:  # it has touched those before
                self.flush(clients)
            elif DELAYED_FLUSH.match(step):  # 1.6.18 takes what is stored in the same second, too
                self.flush(clients)
        for client in clients:
            client.close()

    @staticmethod
    def long_number(client, step, reference, ours):
        """Changed there and text to us: a number in more bytes than we look at (an append made it so long)."""
        if not ARITHMETIC.match(step) or not re.fullmatch(rb'\d+\r\n', reference) or ours != NON_NUMERIC:
            return None
        value = VALUE_LINE.match(client.ask(b'get ' + step.split(b' ')[1] + b'\r\n'))
        return LONG_NUMBER if value and int(value[2]) > NUMBER_BYTES_MAX else None

    @staticmethod
    def flush(clients):
        for client in clients:
            if client.ask(b'flush_all\r\n') != b'OK\r\n':
                raise AssertionError('flush_all was not answered with OK')

    def report(self):
        for history, reference, ours in self.failures[:10]:
            print('DIFFERENT after', *(shown(step) for step in history[:-1]))
            print('  sent     ', shown(history[-1]))
            print('  memcached', shown(reference))
            print('  ours     ', shown(ours))
        known = ', '.join(f'{name} {count}' for name, count in sorted(self.rules.items()))
        print(f'{self.steps} commands compared; known differences: {known or "none"}; unknown: {len(self.failures)}')


def start_memcached(binary, path):
    words = [binary, '-s', path, '-U', '0', '-m', '64', '-o', 'no_lru_maintainer,no_lru_crawler']
    words += ['-u', 'root'] if os.geteuid() == 0 else []
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while True:
        try:
            Client(socket.AF_UNIX, path).close()
            return process
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f'{binary} did not start') from None
            time.sleep(0.01)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('server')
    parser.add_argument('--memcached', default='memcached')
    parser.add_argument('--sessions', type=int, default=int(os.environ.get('PELIKAN_ORACLE_SESSIONS', 250)))
    parser.add_argument('--steps', type=int, default=40)
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(1 << 32))
    arguments = parser.parse_args()
    print(f'--seed {arguments.seed}', flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'memcached')
        reference = start_memcached(arguments.memcached, path)
        try:
            with Server(arguments.server, ['seg.heap_size=256MB']) as server:
                ours = ('127.0.0.1', server.port)
                comparison = Comparison(lambda: Client(socket.AF_UNIX, path), lambda: Client(socket.AF_INET, ours),
                                        Generator(arguments.seed))
                for _ in range(arguments.sessions):
                    comparison.session(arguments.steps)
        finally:
            reference.terminate()
            reference.wait()
    comparison.report()
    return 1 if comparison.failures else 0


if __name__ == '__main__':
    sys.exit(main())
