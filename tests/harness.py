"""Starts a server on free ports and stops it again; shared by all whole-server tests.

    with Server(binary, ['seg.heap_size=64MB']) as server:
        socket.create_connection(server.address)

A server must say within a minute where it listens, must end with exit code 0 when it is asked to (SIGTERM), and must
not have written a sanitizer's report. What it wrote is in the message of every failure.
PELIKAN_SETTINGS holds settings that every server gets before its own: the engine and the shape of the threads.
"""
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

START_TIMEOUT_S, STOP_TIMEOUT_S, COMMAND_TIMEOUT_S = 60, 60, 120
LISTENING = re.compile(r'listening server=\S*:(\d+).* admin=\S*:(\d+)')
SANITIZER = re.compile(r'(ERROR|WARNING): \w+Sanitizer|runtime error:')


class Server:
    """A Pelikan server; `settings` are section.key=value words for --set, `file` is a configuration file."""

    def __init__(self, binary, settings=(), environment=None, file=None):
        self.binary, self.file = binary, file
        self.settings = ('server.port=0', 'admin.port=0', *os.environ.get('PELIKAN_SETTINGS', '').split(), *settings)
        self.environment = {**os.environ, **(environment or {})}
        self.port = self.admin_port = None
        self.told_to_end = False
        self.lines, self.ended, self.changed = [], False, threading.Condition()

    def command(self):
        file = [self.file] if self.file else []
        return [self.binary, *file] + [word for setting in self.settings for word in ('--set', setting)]

    def read_ports(self, line):
        if match := LISTENING.search(line):
            self.port, self.admin_port = int(match[1]), int(match[2])

    def __enter__(self):
        self.process = subprocess.Popen(self.command(), env=self.environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace')
        self.pid = self.process.pid
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        with self.changed:
            self.changed.wait_for(lambda: self.port is not None or self.ended, START_TIMEOUT_S)
        if self.port is None:
            self.process.kill()
            self.wait()
            raise AssertionError(f'{self.binary} did not say where it listens:\n{self.output()}')
        return self

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line)
                self.read_ports(line)
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def output(self):
        with self.changed:
            return ''.join(self.lines)

    def wait_for_output(self, text):
        with self.changed:
            if not self.changed.wait_for(lambda: any(text in line for line in self.lines), STOP_TIMEOUT_S):
                raise AssertionError(f'{self.binary} did not write {text!r}:\n{"".join(self.lines)}')

    def signal(self, number):
        self.told_to_end = self.told_to_end or number in (signal.SIGTERM, signal.SIGINT)
        self.process.send_signal(number)

    def wait(self):
        """The exit code of a server that was told to end; it is killed when it does not."""
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
            self.lines.append(f'[killed: still there after {STOP_TIMEOUT_S} s]\n')
        self.reader.join(STOP_TIMEOUT_S)
        self.process.stdout.close()
        return code

    def __exit__(self, failure=None, *_):
        if not self.told_to_end:  # a second SIGTERM would end it at once
            self.signal(signal.SIGTERM)
        code = self.wait()
        if failure:  # that is what went wrong first; let it be seen
            print(f'--- {self.binary} ended with {code}, and wrote\n{self.output()}')
        elif code != 0 or SANITIZER.search(self.output()):
            raise AssertionError(f'{self.binary} ended with {code}:\n{self.output()}')

    @property
    def address(self):
        return ('127.0.0.1', self.port)

    def stats(self):
        """The process's metrics by name, from the admin port."""
        with socket.create_connection(('127.0.0.1', self.admin_port), COMMAND_TIMEOUT_S) as connection:
            connection.sendall(b'stats\r\n')
            with connection.makefile('r', encoding='ascii') as lines:
                words = [line.split() for line in iter(lines.readline, 'END\n')]
        return {word[1]: int(word[2]) for word in words if word[2:] and word[2].lstrip('-').isdigit()}

    def wait_for_stat(self, name, value):
        """Until it has reached that value, which must be all that it reaches."""
        wait_until(lambda: self.stats()[name] >= value, f'{name} to be {value}')
        found = self.stats()[name]
        if found != value:
            raise AssertionError(f'{name} is {found}, not {value}:\n{self.output()}')


class Memcached(Server):
    """Debian's memcached, for comparing and for trying out the client tests themselves. It has no admin port."""

    def __init__(self, options=(), binary='/usr/bin/memcached'):
        super().__init__(binary)
        self.options = options

    def command(self):
        with socket.socket() as free:  # memcached cannot tell which port it has chosen
            free.bind(('127.0.0.1', 0))
            self.free_port = free.getsockname()[1]
        return [self.binary, '-l', '127.0.0.1', '-p', str(self.free_port), '-U', '0', '-u', 'nobody', '-vv',
                *self.options]

    def read_ports(self, line):
        if 'server listening' in line:
            self.port = self.free_port


def wait_until(condition, what, timeout_s=STOP_TIMEOUT_S):
    """Looks again and again: other processes and their files cannot be waited for otherwise."""
    deadline, pause = time.monotonic() + timeout_s, threading.Event()
    while not (outcome := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f'waited {timeout_s} s in vain for {what}')
        pause.wait(0.01)
    return outcome


def refused(binary, arguments, *words):
    """The server must not start: exit 78, one line on stderr that has all the words."""
    done = subprocess.run([binary, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=START_TIMEOUT_S, check=False)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 78, f'{arguments}: exit {done.returncode}, {done.stderr}'
    assert len(lines) == 1, f'{arguments}: {done.stderr}'
    for word in words:
        assert word in lines[0], f'{arguments}: no {word!r} in {lines[0]!r}'


def worker_seconds(pid):
    """Processor time of each worker's thread."""
    seconds = []
    for task in sorted(os.listdir(f'/proc/{pid}/task'), key=int):
        with open(f'/proc/{pid}/task/{task}/comm', encoding='ascii') as comm:
            if comm.read().strip() != 'pelikan_work':
                continue
        with open(f'/proc/{pid}/task/{task}/schedstat', encoding='ascii') as schedstat:
            seconds.append(int(schedstat.read().split()[0]) / 1e9)
    assert seconds, f'{pid} has no workers'
    return seconds


def rss_bytes(pid):
    """Memory of a process that is in RAM now."""
    with open(f'/proc/{pid}/statm', encoding='ascii') as statm:
        return int(statm.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def start(pair=None):
    """The server that PELIKAN_SERVER names; it speaks TLS when it is given a certificate and a key.

    Memcached lists only its cold queue: with one queue it lists all, as we."""
    binary = os.environ['PELIKAN_SERVER']
    if binary.endswith('/memcached'):
        tls = ['-Z', '-o', f'ssl_chain_cert={pair.certificate},ssl_key={pair.key}'] if pair else []
        return Memcached(['-o', 'no_modern', *tls])
    tls = [f'tls.certificate={pair.certificate}', f'tls.private_key={pair.key}',
           f'listener.handshake_timeout={START_TIMEOUT_S}s'] if pair else []
    return Server(binary, tls)


def run(*command, stdin=None):
    """A client program's (exit code, output)."""
    done = subprocess.run([str(word) for word in command], input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=COMMAND_TIMEOUT_S, check=False)
    return done.returncode, done.stdout.decode(errors='replace')


class ServerTest(unittest.TestCase):
    """One server for all tests of a class, emptied before each."""

    @classmethod
    def start(cls):
        return start()

    @classmethod
    def setUpClass(cls):
        cls.server = cls.start()
        cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def setUp(self):
        self.assertEqual(self.talk(b'flush_all\r\n', 1), b'OK\r\n')

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f'--- what the server wrote until the end of {self.id()}\n{self.server.output()[-20000:]}')
        return result

    @property
    def host_port(self):
        return f'127.0.0.1:{self.server.port}'

    def connect(self, port=None):
        return socket.create_connection(('127.0.0.1', port or self.server.port), COMMAND_TIMEOUT_S)

    def talk(self, request, lines, port=None):
        """Sends bytes on a fresh connection and reads that many lines."""
        with self.connect(port) as connection:
            connection.sendall(request)
            with connection.makefile('rb') as replies:
                return b''.join(replies.readline() for _ in range(lines))

    def succeed(self, *command, stdin=None):
        """Runs a client program that must exit with 0; its output."""
        code, output = run(*command, stdin=stdin)
        self.assertEqual(code, 0, f'{command}:\n{output}')
        return output
