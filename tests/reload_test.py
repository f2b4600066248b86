"""Certificates that change under load: no request and no connection fails, who comes new sees the new certificate, what
is broken changes nothing, and after a change of revocation lists only those who are revoked have to go.

    reload_test.py PATH_TO_pelikan-segcache

PELIKAN_RELOADS certificates (100) follow each other, put in place by turns in the ways that people and programs do it.
Nothing sleeps: whether a change is in force is seen from the serial number of the certificate that is served.
"""
import contextlib
import os
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time

from harness import Server, wait_until
from load_kit import Load
from pki import DAY, Pair, Pki, install
from tls_kit import PATIENCE, SERVER_NAMES, VERSIONS, RecordClient, client_context, connect, receive, tls_settings

BINARY = sys.argv[1]
RELOADS = int(os.environ.get('PELIKAN_RELOADS', '100'))
LOADERS = 3
PAIRS = 10
NOT_ALLOWED = 'HANDSHAKE_FAILURE'  # what a client is told


class Home:
    """Where the server looks for its files, laid out as Kubernetes does: NAME -> ..data/NAME, ..data -> ..VERSION."""

    def __init__(self, folder, **files):
        self.folder, self.version, self.files = folder, 0, files
        self._write(folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def _write(self, folder):
        os.makedirs(os.path.join(folder, f'..{self.version}'))
        for name, source in self.files.items():
            install(source, os.path.join(folder, f'..{self.version}', name))
            os.symlink(f'..data/{name}', os.path.join(folder, name))
        os.symlink(f'..{self.version}', os.path.join(folder, '..data'))

    def replace(self, **files):
        """Each file at once, one after the other."""
        self.files |= files
        for name, source in files.items():
            install(source, os.path.realpath(self.path(name)))

    def swap(self, **files):
        """All at once, as Kubernetes does: a new folder, and the link `..data` to it in the place of the old."""
        self.files |= files
        old, self.version = self.version, self.version + 1
        new = self.path(f'..{self.version}')
        os.makedirs(new)
        for name, source in self.files.items():
            install(source, os.path.join(new, name))
        os.symlink(f'..{self.version}', self.path('..data_new'))
        os.rename(self.path('..data_new'), self.path('..data'))
        for name in self.files:
            os.unlink(self.path(f'..{old}/{name}'))
        os.rmdir(self.path(f'..{old}'))

    def move_in(self, **files):
        """A whole new folder in the place of the old: nobody who watches the old one can see that."""
        self.files |= files
        self.version += 1
        self._write(self.folder + '.new')
        os.rename(self.folder, f'{self.folder}.{self.version}')
        os.rename(self.folder + '.new', self.folder)


def by_hangup(server, home, **files):
    home.move_in(**files)
    server.signal(signal.SIGHUP)


def by_post(server, home, **files):
    home.move_in(**files)
    with socket.create_connection(('127.0.0.1', server.admin_port), PATIENCE) as connection:
        connection.sendall(b'POST /tls/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
        reply = connection.makefile('rb').read()
    assert reply.startswith(b'HTTP/1.1 200 '), reply


def by_replacing(_, home, **files):
    home.replace(**files)


def by_swapping(_, home, **files):
    home.swap(**files)


WAYS = (by_hangup, by_replacing, by_swapping, by_post)


def serial(address, context):
    with connect(address, context) as connection:
        return int(connection.getpeercert()['serialNumber'], 16)


def serial_in(certificate):
    return int(ssl._ssl._test_decode_cert(certificate)['serialNumber'], 16)


# --- load -----------------------------------------------------------------------------------------------------------

def load(number, address, ca):
    """Talks on one connection all the time and on others for a moment, half of them resumed. Runs in a process."""
    counts = {'requests': 0, 'connections': 0, 'resumed': 0}
    step = 'connecting'
    try:
        contexts = [client_context(ca, version) for version in VERSIONS]
        lasting, session = connect(address, contexts[number % 2]), [None, None]
        while True:
            which = counts['connections'] % 2
            step = f'connecting with {VERSIONS[which]}, {"resuming" if session[which] else "new"}'
            with connect(address, contexts[which], session[which]) as passing:
                counts['connections'] += 1
                counts['resumed'] += passing.session_reused
                for connection in (passing, lasting):
                    for _ in range(5):
                        step = f'request {counts["requests"]}'
                        value = b'%d.%d' % (number, counts['requests'])
                        connection.sendall(b'set k%d 0 0 %d\r\n%s\r\nget k%d\r\n' % (number, len(value), value, number))
                        wanted = b'STORED\r\nVALUE k%d 0 %d\r\n%s\r\nEND\r\n' % (number, len(value), value)
                        reply = receive(connection, len(wanted))
                        if reply != wanted:
                            raise AssertionError(f'{reply!r} instead of {wanted!r}')
                        counts['requests'] += 2
                session[which] = passing.session if counts['connections'] % 4 < 2 else None
            yield counts
    except Exception as error:
        raise AssertionError(f'client {number}, {step}: {type(error).__name__} {error}; so far {counts}') from error


# --- tests ----------------------------------------------------------------------------------------------------------

def test_under_load(folder):
    pki = Pki(folder)
    ca = pki.ca('ca')
    pairs = [pki.leaf(ca, f'server{i}', san=SERVER_NAMES, key='rsa' if i % 5 == 4 else 'ec') for i in range(PAIRS)]
    home = Home(pki.path('home'), certificate=pairs[0].certificate, key=pairs[0].key)
    with Server(BINARY, tls_settings(Pair(home.path('certificate'), home.path('key')))) as server:
        context, started = client_context(ca), time.monotonic()
        with Load(load, [(i, server.address, ca) for i in range(LOADERS)]) as clients:
            for i in range(RELOADS):
                pair, way = pairs[(i + 1) % PAIRS], WAYS[i % len(WAYS)]
                way(server, home, certificate=pair.certificate, key=pair.key)
                wanted = serial_in(pair.certificate)
                wait_until(lambda: serial(server.address, context) == wanted,
                           f'certificate {i}, {way.__name__}:\n{server.output()[-3000:]}', PATIENCE)
            check_broken(server, home, pki, ca, pairs[0])
        stats, counts = server.stats(), {name: sum(each[name] for each in clients.done) for name in clients.done[0]}
        print(f'{RELOADS} reloads in {time.monotonic() - started:.1f} s, {counts}, '
              f'{stats["tls_swap"]} swaps, {stats["tls_reload_ex"]} refused')
        assert stats['tls_swap'] >= RELOADS
        assert counts['resumed'] > counts['connections'] // 4


def check_broken(server, home, pki, ca, good):
    """Each kind of broken file, put in place in each way: counted, logged, and the certificate stays."""
    garbage = pki.path('garbage')
    with open(garbage, 'wb') as file:
        file.write(b'-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
    late = pki.leaf(ca, 'late', san=SERVER_NAMES, not_before=-2 * DAY, not_after=-DAY)
    other = pki.leaf(ca, 'other', san=SERVER_NAMES)
    context = client_context(ca)
    for files, log in (({'certificate': garbage}, 'damaged'), ({'key': other.key}, 'pair'),
                       ({'certificate': late.certificate, 'key': late.key}, 'expired'),
                       ({'key': garbage}, 'no private key')):
        for way in (by_hangup, by_replacing, by_swapping):
            way(server, home, certificate=good.certificate, key=good.key)
            wait_until(lambda: serial(server.address, context) == serial_in(good.certificate), 'the good certificate')
            count, length = server.stats()['tls_reload_ex'], len(server.output())
            way(server, home, **files)
            wait_until(lambda: server.stats()['tls_reload_ex'] > count, f'{files}, {way.__name__} to be counted')
            wait_until(lambda: any('the certificates stay as they were' in line and log in line
                                   for line in server.output()[length:].splitlines()), f'{log!r}, {way.__name__}')
            assert serial(server.address, context) == serial_in(good.certificate), f'{files}, {way.__name__}'
    os.unlink(home.path('..data/key'))
    count = server.stats()['tls_reload_ex']
    server.signal(signal.SIGHUP)
    wait_until(lambda: server.stats()['tls_reload_ex'] > count, 'a missing key to be counted')
    assert serial(server.address, context) == serial_in(good.certificate)


class Trust:
    """A server that knows its clients, two of them, and the list on which one of them will be."""

    def __init__(self, folder):
        self.pki = pki = Pki(folder)
        self.ca = pki.ca('ca')
        self.server = pki.leaf(self.ca, 'server', san=SERVER_NAMES)
        self.good = pki.leaf(self.ca, 'good', san=['DNS:good.example'])
        self.bad = pki.leaf(self.ca, 'bad', san=['DNS:bad.example'])
        self.empty_list = pki.crl(self.ca, name='empty.crl')
        self.list = pki.crl(self.ca, name='with-bad.crl', revoked=[self.bad])

    def start(self, home, *more):
        return Server(BINARY, tls_settings(self.server, f'tls.ca_file={self.ca.certificate}',
                                           f'tls.crl_file={home.path("list")}', *more))


def ask(connection):
    connection.sendall(b'get absent\r\n')
    assert receive(connection, 5) == b'END\r\n'


def ended(connection):
    """Until the server closes: what comes before that is read."""
    try:
        while connection.recv(65536):
            pass
    except (ConnectionError, ssl.SSLError):
        pass
    return True


def refused(address, context, session=None, reason='CERTIFICATE_REVOKED'):
    try:
        with connect(address, context, session) as connection:
            connection.sendall(b'get absent\r\n')
            assert receive(connection, 5) == b'', 'who is shut out was answered'
            raise AssertionError('who is shut out was not told why')
    except ssl.SSLError as error:
        return error.reason.endswith(reason)


def test_revocation(folder):
    trust = Trust(folder)
    for number, way in enumerate(WAYS):
        home = Home(trust.pki.path(f'home{number}'), list=trust.empty_list)
        with trust.start(home) as server, contextlib.ExitStack() as stack:
            contexts = {(who, version): client_context(trust.ca, version, getattr(trust, who))
                        for who in ('good', 'bad') for version in VERSIONS}
            live = {key: [stack.enter_context(connect(server.address, context)) for _ in range(5)]
                    for key, context in contexts.items()}
            for connections in live.values():
                for connection in connections:
                    ask(connection)
            tickets = {key: connections[0].session for key, connections in live.items()}
            for key, context in contexts.items():
                with connect(server.address, context, tickets[key]) as connection:
                    assert connection.session_reused, key
                    ask(connection)
            busy = live['bad', 'TLSv1_3'][0]
            busy.sendall(b'get absent\r\n' * 1000)  # not read: it is revoked in the midst of its replies

            way(server, home, list=trust.list)
            server.wait_for_stat('session_no_longer_admitted', 5 * len(VERSIONS))
            server.wait_for_output('after a reload: the certificate of client DNS:bad.example: certificate revoked')
            for (who, version), connections in live.items():
                context, ticket = contexts[who, version], tickets[who, version]
                for connection in connections:
                    assert ended(connection) if who == 'bad' else ask(connection) is None
                if who == 'bad':
                    assert refused(server.address, context, ticket) and refused(server.address, context)
                else:  # its ticket is void, too: a resumed session is not verified
                    with connect(server.address, context, ticket) as connection:
                        assert not connection.session_reused
                        ask(connection)

            way(server, home, list=trust.empty_list)  # and back
            wait_until(lambda: server.stats()['tls_swap'] == 2, 'the empty list to be in force')
            for connection in live['good', 'TLSv1_2']:
                ask(connection)
            with connect(server.address, contexts['bad', 'TLSv1_3']) as connection:
                ask(connection)
            assert server.stats()['session_no_longer_admitted'] == 5 * len(VERSIONS)
        print(f'revoked {way.__name__}: its live sessions are closed, its tickets void, others live on')


class AllowList:
    """A configuration file, and the server that it belongs to; the ways of Home put a new one in its place."""

    def __init__(self, trust, name):
        self.trust, self.count = trust, 0
        self.home = Home(trust.pki.path(name), config=self.write(['DNS:good.*', 'DNS:bad.*']))

    def write(self, patterns, *lines):
        """A file of its own for each text, to be installed."""
        self.count += 1
        path = f'{self.trust.pki.path("config")}.{self.count}'
        with open(path, 'w', encoding='ascii') as file:
            file.write('\n'.join([f'[tls]\nca_file = "{self.trust.ca.certificate}"\nallow = {patterns}', *lines]))
        return path

    def start(self):
        return Server(BINARY, tls_settings(self.trust.server), file=self.home.path('config'))


def test_allow_list(folder):
    trust = Trust(folder)
    for number, way in enumerate(WAYS):
        config = AllowList(trust, f'home{number}')
        with config.start() as server, contextlib.ExitStack() as stack:
            contexts = {(who, version): client_context(trust.ca, version, getattr(trust, who))
                        for who in ('good', 'bad') for version in VERSIONS}
            live = {key: stack.enter_context(connect(server.address, context)) for key, context in contexts.items()}
            for connection in live.values():
                ask(connection)
            tickets = {key: connection.session for key, connection in live.items()}

            way(server, config.home, config=config.write(['DNS:good.*']))
            server.wait_for_stat('session_no_longer_admitted', len(VERSIONS))
            server.wait_for_output('DNS:bad.example: no name in it is on the allow-list')
            for (who, version), connection in live.items():
                context, ticket = contexts[who, version], tickets[who, version]
                if who == 'bad':
                    assert ended(connection)
                    for session in (ticket, None):
                        assert refused(server.address, context, session, NOT_ALLOWED)
                else:
                    ask(connection)
                    with connect(server.address, context, ticket) as again:
                        assert not again.session_reused
                        ask(again)

            way(server, config.home, config=config.write(['DNS:**'], '[seg]\nhash_power = 10'))
            server.wait_for_output('need a restart: seg.hash_power')
            wait_until(lambda: server.stats()['tls_swap'] == 2, 'the wider list to be in force')
            with connect(server.address, contexts['bad', 'TLSv1_3']) as connection:
                ask(connection)
            assert server.stats()['tls_reload_ex'] == 0
        print(f'allow-list changed {way.__name__}: who is not on it has to go')


def test_a_wrong_allow_list_changes_nothing(folder):
    trust = Trust(folder)
    config = AllowList(trust, 'home')
    good = config.write(['DNS:good.*'])
    wrong = {config.write(['DNS:good.*', 'nonsense']): 'tls.allow: "nonsense" must begin with',
             config.write([]): 'tls.allow: is empty now',
             config.write(['DNS:good.*'], '[seg]\nhaep_size = 1'): 'did you mean seg.heap_size?',
             config.write(['DNS:good.*'], '[seg'): 'not valid TOML',
             os.devnull: 'tls.allow: is empty now'}
    with config.start() as server:
        config.home.replace(config=good)
        wait_until(lambda: server.stats()['tls_swap'] == 1, 'the first list')
        contexts = {who: client_context(trust.ca, 'TLSv1_3', getattr(trust, who)) for who in ('good', 'bad')}
        with connect(server.address, contexts['good']) as live:
            for path, words in wrong.items():
                for way in (by_hangup, by_replacing):
                    count, length = server.stats()['tls_reload_ex'], len(server.output())
                    way(server, config.home, config=path)
                    wait_until(lambda: server.stats()['tls_reload_ex'] > count, f'{words!r} to be counted')
                    wait_until(lambda: words in server.output()[length:], f'{words!r} in the log')
                    ask(live)
                    assert refused(server.address, contexts['bad'], reason=NOT_ALLOWED)
            config.home.move_in(config=config.write(['DNS:x', 'x']))
            with socket.create_connection(('127.0.0.1', server.admin_port), PATIENCE) as connection:
                connection.sendall(b'POST /tls/reload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
                reply = connection.makefile('rb').read()
            assert reply.startswith(b'HTTP/1.1 500 ') and b'tls.allow: "x" must begin with' in reply, reply
        assert server.stats()['tls_swap'] == 1
    print(f'{len(wrong)} wrong configuration files: counted, and nothing changed')


def test_revoked_in_mid_handshake(folder):
    """It began under the old list and ends under the new one: it must not stay."""
    trust = Trust(folder)
    for version in VERSIONS:
        home = Home(trust.pki.path('home' + version), list=trust.empty_list)
        with trust.start(home) as server:
            clients = {who: RecordClient(server.address, client_context(trust.ca, version, getattr(trust, who)), False)
                       for who in ('good', 'bad')}
            for client in clients.values():
                client.socket.sendall(client.hello())
                client.arrived.write(client.socket.recv(1))  # the server's answer is on its way
            by_replacing(server, home, list=trust.list)
            wait_until(lambda: server.stats()['tls_swap'] == 1, 'the list to be in force')
            for who, client in clients.items():
                with client:
                    try:
                        client.carry(client.tls.do_handshake)
                        client.socket.sendall(client.made.read() + client.seal(b'get absent\r\n'))
                        reply = client.receive(5)
                    except (ssl.SSLError, ConnectionError):
                        reply = b''
                    assert reply == (b'END\r\n' if who == 'good' else b''), f'{who}, {version}: {reply!r}'
            server.wait_for_stat('session_no_longer_admitted', 1)


def test_many_sessions_are_looked_at(folder):
    """More than one turn of a worker verifies, while new ones arrive all the time."""
    trust = Trust(folder)
    home = Home(trust.pki.path('home'), list=trust.empty_list)
    count = 150
    with trust.start(home) as server, contextlib.ExitStack() as stack:
        contexts = {who: client_context(trust.ca, None, getattr(trust, who)) for who in ('good', 'bad')}
        live = {who: [stack.enter_context(connect(server.address, context)) for _ in range(count)]
                for who, context in contexts.items()}
        late, stop = [], threading.Event()

        def arrive():
            while not stop.is_set():
                try:
                    late.append(connect(server.address, contexts['bad']))
                except (ssl.SSLError, ConnectionError):
                    pass
        arriving = threading.Thread(target=arrive)
        arriving.start()
        wait_until(lambda: len(late) > 10, 'clients to arrive')
        home.replace(list=trust.list)
        wait_until(lambda: server.stats()['session_no_longer_admitted'] >= count, 'the sessions to be closed')
        stop.set()
        arriving.join()
        for connection in live['bad'] + late:
            assert ended(connection)
        for connection in live['good']:
            ask(connection)
        print(f'{server.stats()["session_no_longer_admitted"]} sessions closed, {count} stay')


def main():
    for name, test in list(globals().items()):
        if name.startswith('test_') and (not sys.argv[2:] or name in sys.argv[2:]):
            with tempfile.TemporaryDirectory() as folder:
                test(folder)
            print('passed', name, flush=True)


if __name__ == '__main__':
    main()
