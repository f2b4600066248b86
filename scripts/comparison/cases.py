"""What is measured: single cases, and the stages they are grouped into."""
import dataclasses

from .generator import KEY_BYTES

# Of pelikan-bench; a ping has none.
WORKLOADS = {'get': ['--ratio', 'get:100'], 'set': ['--ratio', 'set:100'], 'mix': ['--ratio', 'get:90,set:10'],
             'ping': [], 'handshake': ['--handshakes'], 'resumed handshake': ['--handshakes', '--resume']}
HANDSHAKES = ('handshake', 'resumed handshake')
PING_BYTES = len('PING\r\n')
ZIPF = 'zipf:0.99'


@dataclasses.dataclass(frozen=True)
class Case:
    """One way to load a server. What is not said is the base: one request at a time on each of 50 connections, for one
    key with a value of 100 bytes, in plain text."""
    workload: str = 'get'
    pipeline: int = 1
    keys: int = 1  # that are asked for; more than one by ZIPF
    value_bytes: int = 100
    connections: int = 50
    tls: bool = False
    multiget: int = 1
    rate: int = 0  # requests per second that are offered; 0: the next when the last is answered

    def options(self):
        """The words for pelikan-bench. What is measured is a server that has at least the keys."""
        words = [*WORKLOADS[self.workload], '--connections', self.connections]
        if self.workload in HANDSHAKES:
            return words
        words += self.pace()
        if self.workload == 'ping':
            return words
        words += ['--keys', self.keys, '--key-size', KEY_BYTES, '--value-size', self.value_bytes]
        words += ['--distribution', ZIPF] if self.keys > 1 else []
        return words + (['--multiget', self.multiget] if self.multiget > 1 else [])

    def pace(self):
        return ['--rate', self.rate] if self.rate else ['--pipeline', self.pipeline]

    def echo_bytes(self):
        """Bytes of a request and of its reply, as in memcache text; None where there is no such thing."""
        if self.tls or self.keys > 1 or self.workload not in ('get', 'set', 'ping'):
            return None
        if self.workload == 'ping':
            return PING_BYTES, PING_BYTES
        key, value = 'k' * KEY_BYTES, 'v' * self.value_bytes
        if self.workload == 'set':
            return len(f'set {key} 0 0 {self.value_bytes}\r\n{value}\r\n'), len('STORED\r\n')
        return len(f'get {key}\r\n'), len(f'VALUE {key} 0 {self.value_bytes}\r\n{value}\r\nEND\r\n')

    def served_by(self, description):
        """By a server so described, over this transport?"""
        if description.tls != self.tls:
            return False
        if description.protocol == 'ping':
            return self.workload == 'ping'
        if self.multiget > 1 and description.protocol not in ('memcache', 'resp'):
            return False
        return description.stores and self.workload != 'ping'

    def __str__(self):
        words = [self.workload if self.multiget == 1 else f'get of {self.multiget} keys']
        if self.workload not in HANDSHAKES and not self.rate:
            words.append(f'pipeline {self.pipeline}')
        words += [f'{self.keys:,} keys'] if self.keys > 1 else []
        words += [f'{self.value_bytes:,} bytes'] if self.value_bytes != 100 else []
        words += [f'{self.connections:,} connections'] if self.connections != 50 else []
        words += ['TLS'] if self.tls else []
        words += [f'{self.rate:,}/s offered'] if self.rate else []
        return ', '.join(words)


@dataclasses.dataclass(frozen=True)
class Stage:
    """Cases that are measured on the same servers, by turns. The servers have `keys` keys with values of one size."""
    cases: tuple
    keys: int = 1
    value_bytes: int = 100
    tls: bool = False

    def __post_init__(self):
        wrong = [str(case) for case in self.cases
                 if case.keys > self.keys or (case.value_bytes, case.tls) != (self.value_bytes, self.tls)]
        if wrong:
            raise ValueError(f'not for these servers: {wrong}')
