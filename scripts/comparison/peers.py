"""The servers that are compared: how they are described, started and stopped.

    for description in read(PEERS_FILE):
        with Peer(description, {'bin': ..., 'memory_mb': 1024, 'workers': 1}, core=0) as peer:
            socket.create_connection(('127.0.0.1', peer.port))

A description is a line of peers.txt, which says what the line holds. A server must be ready within a minute. It is
stopped when the `with` is left in any way, and the kernel kills it when this program is killed.
"""
import getpass
import re
import shlex
import socket
import subprocess
import tempfile
import time
import typing
from pathlib import Path

PEERS_FILE = Path(__file__).with_name('peers.txt')
STORE_PROTOCOLS = ('memcache', 'meta', 'binary', 'resp')
PROTOCOLS = (*STORE_PROTOCOLS, 'ping')
START_TIMEOUT_S, STOP_TIMEOUT_S, ANSWER_TIMEOUT_S, POLL_S = 60, 20, 20, 0.001
LISTENING = re.compile(r'listening server=\S*?:(\d+)')


class PeerError(Exception):
    """A server that cannot be used; one line."""


class Description(typing.NamedTuple):
    name: str
    protocol: str
    tls: bool
    command: tuple  # with placeholders

    @property
    def stores(self):
        return self.protocol in STORE_PROTOCOLS

    @property
    def ours(self):
        return self.name.startswith('pelikan-')


def parse(line):
    words = shlex.split(line)
    if len(words) < 3:
        raise PeerError(f'peer `{line}`: it takes a name, a protocol and a command')
    name, protocol, *command = words
    protocol, plus, transport = protocol.partition('+')
    if protocol not in PROTOCOLS or transport != ('tls' if plus else ''):
        raise PeerError(f'peer {name}: the protocol `{words[1]}` is none of {", ".join(PROTOCOLS)}, nor that and +tls')
    return Description(name, protocol, bool(plus), tuple(command))


def read(path):
    lines = Path(path).read_text(encoding='utf-8').replace('\\\n', ' ').splitlines()
    return [parse(line) for line in lines if line.strip() and not line.startswith('#')]


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


class Peer:
    """One running server. `places` are the values for the placeholders that are not known here."""

    def __init__(self, description, places, core=None):
        self.name, self.protocol, self.tls = description.name, description.protocol, description.tls
        self.stores, self.ours = description.stores, description.ours
        self.port, self.process = None, None
        chooses_itself = not any('{port}' in word for word in description.command)
        self.known_port = None if chooses_itself else free_port()
        places = {'workers': 1, 'user': getpass.getuser(), 'core': core, 'port': self.known_port, **places}
        try:
            command = [word.format_map(places) for word in description.command]
        except (KeyError, ValueError, IndexError) as error:
            raise PeerError(f'{self.name}: its command has a placeholder that nobody fills in: {error}') from None
        self.command = ['setpriv', '--pdeathsig', 'KILL', *(['taskset', '-c', str(core)] if core is not None else []),
                        *command]

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.log = Path(self.folder.name) / 'log'
        try:
            with self.log.open('wb') as log:
                self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log,
                                                stderr=subprocess.STDOUT)
            self.port = self.wait_for_port()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_for_port(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if port := self.port_now():
                return port
            self.check()
            time.sleep(POLL_S)
        raise PeerError(f'{self.name}: not ready after {START_TIMEOUT_S} s: {self.last_words()}')

    def port_now(self):
        """The port, if it is ready to be connected to."""
        if self.known_port is None:
            found = LISTENING.search(self.log.read_text(errors='replace'))
            return int(found[1]) if found else None
        try:
            socket.create_connection(('127.0.0.1', self.known_port), ANSWER_TIMEOUT_S).close()
            return self.known_port
        except ConnectionRefusedError:
            return None

    def last_words(self):
        lines = self.log.read_text(errors='replace').strip().splitlines()
        return lines[-1] if lines else 'it wrote nothing'

    def check(self):
        """REQUIRES: started. Fails when it has ended."""
        if (code := self.process.poll()) is not None:
            raise PeerError(f'{self.name}: ended with {code}: {self.last_words()}')

    def ask(self, request, until):
        """What it answers to these bytes, until that is in the answer or it closes."""
        answer = b''
        with socket.create_connection(('127.0.0.1', self.port), ANSWER_TIMEOUT_S) as connection:
            connection.sendall(request)
            while until not in answer and (more := connection.recv(65536)):
                answer += more
        return answer

    def __exit__(self, *_):
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.folder.cleanup()
