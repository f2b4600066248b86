"""What hostile, broken or slow TLS clients do never crashes, hangs or bloats the server, and costs the others nothing.

    tls_hostile_test.py PATH_TO_pelikan-segcache

Clients that stall have a server of their own, which gives a handshake a second: on a machine that is busy otherwise an
honest one may take longer, and is tried again.
Each kind of trouble is made once until the log has told it (the log shows a few lines of a kind per second), and
then, many times over, in several rounds. It must be counted under its own name, the connection must end with a FIN, a
canary that is connected all the time must be answered, and memory must end where it began.
"""
import random
import re
import select
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings

from harness import Server, rss_bytes, wait_until
from pki import Pki
from tls_kit import (PATIENCE, SERVER_NAMES, VERSIONS, KeyUpdater, RecordClient, client_context, connect, receive,
                     tls_settings)

BINARY = sys.argv[1]
ROUNDS = 3
RSS_GROWTH_MAX = 24 << 20
SHORT_TIMEOUT_MS = 1000  # of handshakes that stall
SHORT_TIMEOUT = f'listener.handshake_timeout={SHORT_TIMEOUT_MS}ms'
ATTEMPTS = 20  # of an honest handshake under it
HANDSHAKES_MAX = 30
LOG_ROUNDS = 60
LINES_PER_SECOND_MAX = 10  # of one kind; five, and a few more when two threads log at the turn of a second
ALERT, HANDSHAKE, DATA = 0x15, 0x16, 0x17
REQUEST = b'get canary\r\n'
REPLY = b'VALUE canary 7 5\r\nalive\r\nEND\r\n'


def plain(server):
    connection = socket.create_connection(server.address, PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def until_fin(connection):
    """What the server still says; a reset is a failure."""
    data = b''
    while piece := connection.recv(65536):
        data += piece
    return data


def send_and_wait(server, data):
    """To a server that knows nothing of us: it may answer with alerts only, and must finish."""
    with plain(server) as connection:
        connection.sendall(data)
        reply = until_fin(connection)
        assert reply == b'' or reply[0] in (ALERT, HANDSHAKE), reply
        return reply


# --- one connection each: what it does, how it is counted, what the log says ----------------------------------------

def text_on_the_tls_port(server, _):
    assert send_and_wait(server, b'get canary\r\n')[:1] in (b'', bytes([ALERT]))


def http_on_the_tls_port(server, _):
    send_and_wait(server, b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')


def garbage_behind_a_record_header(server, _):
    send_and_wait(server, struct.pack('>BHH', HANDSHAKE, 0x0301, 100) + bytes(100))


def endless_record(server, _):
    send_and_wait(server, struct.pack('>BHH', HANDSHAKE, 0x0301, 0xffff) + bytes(100))


def garbage_after_the_handshake(server, world):
    for version in VERSIONS:
        with RecordClient(server.address, world.context(version)) as client:
            client.socket.sendall(random.Random(version).randbytes(1000))
            until_fin(client.socket)


def spoilt_record(server, world):
    for version in VERSIONS:
        with RecordClient(server.address, world.context(version)) as client:
            record = bytearray(client.seal(REQUEST))
            record[20] ^= 1
            client.socket.sendall(record)
            expect_alert(client, 'BAD_RECORD_MAC')


def expect_alert(client, reason):
    try:
        raise AssertionError(f'answered {client.receive(100)!r}')
    except ssl.SSLError as error:
        assert error.reason and error.reason.endswith('ALERT_' + reason), error


def renegotiation(server, _):
    """openssl s_client takes an R at the beginning of what it reads for the command to renegotiate."""
    command = ['openssl', 's_client', '-connect', f'127.0.0.1:{server.port}', '-tls1_2']
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        output = b''
        while b'Verify return code' not in output:  # the last that it says before it reads
            output += client.stdout.read1(65536)
        client.stdin.write(b'R\n')
        client.stdin.flush()
        output += client.stdout.read()
    assert b'RENEGOTIATING' in output and b'no renegotiation' in output, output


def key_update_flood(server, _):
    with KeyUpdater(server.address) as client:
        while client.update():
            pass


def silence(server, _):
    with plain(server) as connection:
        assert until_fin(connection) == b''


def half_a_hello(server, world):
    hello = RecordClient(server.address, world.context(), handshake=False)
    with hello as client:
        client.socket.sendall(client.hello()[:100])
        assert until_fin(client.socket) == b''


def a_byte_now_and_then(server, world):
    """Each comes in time; all of them together do not."""
    with RecordClient(server.address, world.context(), handshake=False) as client:
        for byte in client.hello():
            client.socket.sendall(bytes([byte]))
            if select.select([client.socket], [], [], 0.01)[0]:
                assert until_fin(client.socket) == b''
                return
    raise AssertionError('the handshake had no deadline')


def leaves_in_mid_handshake(server, world):
    with RecordClient(server.address, world.context(), handshake=False) as client:
        client.socket.sendall(client.hello())
        client.socket.recv(1)


def client_that_does_not_trust_us(server, world):
    try:
        connect(server.address, ssl.create_default_context()).close()
    except ssl.SSLCertVerificationError:
        return
    raise AssertionError('the certificate was trusted')


def old_client(server, world):
    context = world.context()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers('DEFAULT:@SECLEVEL=0')
    try:
        connect(server.address, context).close()
    except ssl.SSLError:
        return
    raise AssertionError('TLS 1.1 was spoken')


SINGLES = (
    (text_on_the_tls_port, 'tls_failure_plain_text', 'speaks no TLS'),
    (http_on_the_tls_port, 'tls_failure_plain_text', 'speaks no TLS'),
    (garbage_behind_a_record_header, 'tls_failure_protocol', 'no valid TLS'),
    (endless_record, 'tls_failure_protocol', 'no valid TLS'),
    (garbage_after_the_handshake, 'tls_failure_protocol', 'no valid TLS'),
    (spoilt_record, 'tls_failure_protocol', 'bad record mac'),
    (renegotiation, 'tls_failure_renegotiation', 'asked for a new handshake'),
    (key_update_flood, 'tls_failure_protocol', 'too many TLS messages'),
    (leaves_in_mid_handshake, 'tls_handshake_abandoned', 'closed in mid handshake'),
    (client_that_does_not_trust_us, 'tls_failure_peer_alert', 'unknown ca'),
    (old_client, 'tls_failure_no_common_ways', 'version'),
)
STALLING_SINGLES = (
    (silence, 'tls_handshake_timeout', 'not done within 1000 ms, nothing was received'),
    (half_a_hello, 'tls_handshake_timeout', 'not done within 1000 ms'),
    (a_byte_now_and_then, 'tls_handshake_timeout', 'not done within 1000 ms'),
)


# --- many at once: each returns what must have been counted ---------------------------------------------------------

def every_bit_of_a_record(server, world):
    """One bit of each byte, so that a server that looks at all of them has something to see."""
    spoilt = 0
    for version in VERSIONS:
        at, record = 0, b'.'
        while at < len(record):
            with RecordClient(server.address, world.context(version)) as client:
                record = bytearray(client.seal(REQUEST))
                record[at] ^= 1 << at % 8
                client.socket.sendall(record)
                client.socket.shutdown(socket.SHUT_WR)
                expect_no_reply(client)
                # One that says it is longer is waited for in vain: that is no error of TLS.
                grown = at in (3, 4) and struct.unpack('>H', record[3:5])[0] > len(record) - 5
                spoilt += not grown
                at += 1
    return {'tls_failure_protocol': spoilt}


def expect_no_reply(client):
    try:
        reply = client.receive(100)
    except ssl.SSLError:
        return
    assert reply == b'', reply


def every_beginning_of_a_record(server, world):
    for version in VERSIONS:
        at, record = 0, b'.'
        while at < len(record):
            with RecordClient(server.address, world.context(version)) as client:
                record = client.seal(REQUEST)
                client.socket.sendall(record[:at])
                client.socket.shutdown(socket.SHUT_WR)
                expect_no_reply(client)
                at += 1
    return {}


def spoilt_hellos(server, world):
    """Whatever the server makes of them, none becomes a session, and each is counted once."""
    count = 60
    for seed in range(count):
        with RecordClient(server.address, world.context(), handshake=False) as client:
            hello, chance = bytearray(client.hello()), random.Random(seed)
            for _ in range(1 + seed % 5):
                hello[chance.randrange(len(hello))] ^= 1 << chance.randrange(8)
            client.socket.sendall(hello[:chance.choice((len(hello), chance.randrange(len(hello))))])
            client.socket.shutdown(socket.SHUT_WR)
            until_fin(client.socket)
    return {'stream_handshake_ex': count, 'total': count}


def noise(server, _):
    count = 30
    for seed in range(count):
        with plain(server) as connection:
            try:
                connection.sendall(random.Random(seed).randbytes(20_000))
                connection.shutdown(socket.SHUT_WR)
                until_fin(connection)
            except ConnectionError:
                pass  # it may hang up on so much noise
    return {'tls_failure_plain_text': count, 'stream_handshake_ex': count}


def health_checks(server, _):
    """Connect and close, without a word or with a reset: counted, and the log is silent."""
    before = len(server.output())
    for i in range(100):
        with plain(server) as connection:
            if i % 2:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    return {'tls_handshake_abandoned': 100, 'stream_handshake_ex': 100, 'silent since': before}


def stalled_handshakes(server, world):
    """More than there may be: the others wait until those before them have had their time."""
    count = 3 * HANDSHAKES_MAX
    stalled = [RecordClient(server.address, world.context(), handshake=False) for _ in range(count)]
    for client in stalled:
        client.socket.sendall(client.hello()[:20])
    late, too_late = answered(server, world, REQUEST, REPLY)
    late.close()
    for client in stalled:
        assert until_fin(client.socket) == b''
        client.socket.close()
    return {'tls_handshake_timeout': count + too_late, 'stream_handshake_ex': count + too_late}


def never_reads(server, world):
    with connect(server.address, world.context()) as feeder:
        feeder.sendall(b'set big 0 0 200000\r\n' + b'v' * 200_000 + b'\r\n')
        assert receive(feeder, 8) == b'STORED\r\n'
    deaf = [RecordClient(server.address, world.context(VERSIONS[i % 2])) for i in range(20)]
    for client in deaf:
        client.socket.setblocking(False)
        try:
            while True:
                client.socket.send(client.seal(b'get big\r\n' * 1000))
        except BlockingIOError:
            pass
    for client in deaf:
        client.socket.close()
    return {}


def never_reads_its_alert(server, world):
    deaf = [plain(server) for _ in range(20)]
    for connection in deaf:
        connection.sendall(b'get canary\r\n')
    for connection in deaf:
        connection.close()
    return {'tls_failure_plain_text': 20, 'stream_handshake_ex': 20}


def closes_in_mid_value(server, world):
    for sent in (0, 1, 16_000, 17_000, 99_999):
        with RecordClient(server.address, world.context()) as client:
            client.socket.sendall(client.seal(b'set mid 0 0 100000\r\n' + b'm' * sent)[:-1])
    with connect(server.address, world.context()) as other:
        other.sendall(b'get mid\r\n')
        assert receive(other, 5) == b'END\r\n'
    return {}


def key_updates_between_requests(server, _):
    """A client may ask for new keys now and then."""
    with KeyUpdater(server.address) as client:
        for _ in range(20):
            assert client.update()
            assert client.ask(REQUEST, len(REPLY)) == REPLY
    return {}


ABUSES = (every_bit_of_a_record, every_beginning_of_a_record, spoilt_hellos, noise, health_checks, never_reads,
          never_reads_its_alert, closes_in_mid_value, key_updates_between_requests)


# --- the frame ------------------------------------------------------------------------------------------------------

class World:
    def __init__(self, folder):
        pki = Pki(folder)
        self.ca = pki.ca('ca')
        self.server = pki.leaf(self.ca, 'server', san=SERVER_NAMES)

    def context(self, version=None):
        return client_context(self.ca, version)


def answered(server, world, request, wanted):
    """A connection on which that was answered, and how often its handshake had come too late before."""
    for too_late in range(ATTEMPTS):
        try:
            connection = connect(server.address, world.context())
            connection.sendall(request)
            reply = receive(connection, len(wanted))
        except (ssl.SSLError, ConnectionError):
            continue
        assert reply == wanted, reply
        return connection, too_late
    raise AssertionError(f'no honest handshake in {ATTEMPTS} attempts:\n{server.output()[-5000:]}')


class Canary:
    def __init__(self, server, world):
        self.connection, _ = answered(server, world, b'set canary 7 0 5\r\nalive\r\n', b'STORED\r\n')

    def sing(self, occasion):
        self.connection.sendall(REQUEST)
        reply = receive(self.connection, len(REPLY))
        assert reply == REPLY, f'the canary after {occasion}: {reply!r}'


def counts(server):
    stats = server.stats()
    found = {name: value for name, value in stats.items() if name.startswith('tls_failure_')}
    found |= {name: stats[name] for name in ('tls_handshake_timeout', 'tls_handshake_abandoned')}
    return {'total': sum(found.values()), 'stream_handshake_ex': stats['stream_handshake_ex'], **found}


def expect_counts(server, before, wanted, what):
    """Exactly that has been counted: no more, and nothing under another name."""
    wanted = {'total': sum(value for name, value in wanted.items() if name != 'stream_handshake_ex'), **wanted}

    def difference():
        now = counts(server)
        return {name: now[name] - before[name] for name in now}
    try:
        wait_until(lambda: difference()['total'] >= wanted['total'], what, 20)
    except AssertionError:
        pass
    found = difference()
    if any(found[name] != value for name, value in wanted.items()):
        raise AssertionError(f'{what} should count {wanted}, but: { {k: v for k, v in found.items() if v} }\n'
                             f'{server.output()[-5000:]}')


def check_single(server, world, abuse, counter, log):
    for _ in range(LOG_ROUNDS):
        before = counts(server)
        abuse(server, world)
        after_handshake = abuse in (garbage_after_the_handshake, spoilt_record)
        times = len(VERSIONS) if after_handshake else 1
        expect_counts(server, before, {counter: times}, abuse.__name__)
        if any('TLS with 127.0.0.1:' in line and log in line for line in server.output().splitlines()):
            return
        threading.Event().wait(0.1)
    raise AssertionError(f'{abuse.__name__}: no line of the log has {log!r}:\n{server.output()}')


def check_abuse(server, world, abuse):
    before = counts(server)
    wanted = abuse(server, world)
    silent_since = wanted.pop('silent since', None)
    expect_counts(server, before, wanted, abuse.__name__)
    if silent_since is not None:
        assert 'TLS with' not in server.output()[silent_since:], server.output()[silent_since:]


def check_log_is_limited(server):
    lines = {}
    for line in server.output().splitlines():
        if match := re.match(r'(\S{19})\S* warning \[\d+\] (.*)', line):
            kind = 'timeout' if 'not done within' in line else 'abandoned' if 'mid handshake' in line else 'other'
            lines.setdefault((match[1], kind), []).append(line)
    worst = max(lines.values(), key=len)
    assert len(worst) <= LINES_PER_SECOND_MAX, '\n'.join(worst)
    assert 'more like this were left out' in server.output()


def check_tls_port(world, singles, abuses, *more):
    settings = tls_settings(world.server, f'listener.max_handshakes={HANDSHAKES_MAX}', 'seg.heap_size=64MB', *more)
    with Server(BINARY, settings) as server:
        canary = Canary(server, world)
        for abuse, counter, log in singles:
            check_single(server, world, abuse, counter, log)
            canary.sing(abuse.__name__)
        print(f'{len(singles)} kinds of trouble, each counted under its name and logged')
        before, started = None, time.monotonic()
        for _ in range(ROUNDS):
            for abuse in abuses:
                check_abuse(server, world, abuse)
                canary.sing(abuse.__name__)
            before = before or rss_bytes(server.pid)
        wait_until(lambda: (now := server.stats())['tcp_conn_curr'] == 1 and now['tls_handshake_curr'] == 0,
                   'all connections but the canary to end')
        growth = rss_bytes(server.pid) - before
        print(f'{ROUNDS} rounds of {len(abuses)} abuses in {time.monotonic() - started:.1f} s, '
              f'{counts(server)["total"]} failures counted, memory grew by {growth / 1e6:.1f} MB')
        assert growth <= RSS_GROWTH_MAX, f'memory grew by {growth} bytes'
        check_log_is_limited(server)


def check_limit(world):
    """What is over the limit hears a FIN. Handshakes count, too, and one that is given up gives its place back."""
    settings = tls_settings(world.server, 'server.max_connections=3', 'seg.heap_size=64MB')

    def admitted(server):
        try:
            with connect(server.address, world.context()) as connection:
                connection.sendall(b'get absent\r\n')
                return receive(connection, 5) == b'END\r\n'
        except (ssl.SSLError, ConnectionError):
            return False

    with Server(BINARY, settings) as server:
        stalled = [plain(server) for _ in range(3)]
        assert send_and_wait(server, b'') == b''
        assert server.stats()['tcp_reject'] == 1
        for connection in stalled:
            connection.close()
        wait_until(lambda: server.stats()['tls_handshake_curr'] == 0, 'three to leave')
        inside = [connect(server.address, world.context()) for _ in range(3)]
        assert send_and_wait(server, b'') == b'' and not admitted(server)
        assert server.stats()['tcp_reject'] == 3
        inside.pop().close()
        wait_until(lambda: admitted(server), 'the place of one that left')
        for connection in inside:
            connection.close()
    with Server(BINARY, [*settings, SHORT_TIMEOUT]) as server:
        stalled = [plain(server) for _ in range(3)]
        wait_until(lambda: admitted(server), 'the place of a handshake that was given up')
        for connection in stalled:
            connection.close()


def check_plain_port(world):
    """A TLS client at the plain port: it is told nothing, the connection ends, and the operator knows why."""
    with Server(BINARY, ['seg.heap_size=64MB']) as server:
        for version in VERSIONS:
            with RecordClient(server.address, world.context(version), handshake=False) as client:
                client.socket.sendall(client.hello())
                assert until_fin(client.socket) == b''
        server.wait_for_stat('session_tls_on_plain_port', 2)
        server.wait_for_output('it began TLS, and this port speaks plain text')
        assert server.stats()['session_invalid'] == 0


def main():
    with tempfile.TemporaryDirectory() as folder:
        world = World(folder)
        check_tls_port(world, SINGLES, ABUSES)
        check_tls_port(world, STALLING_SINGLES, [stalled_handshakes], SHORT_TIMEOUT)
        check_limit(world)
        check_plain_port(world)


main()
