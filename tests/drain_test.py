"""SIGTERM under load: whatever arrived whole before it is answered, then comes a FIN, never a reset; exit code 0.

    drain_test.py FOLDER_OF_BINARIES

PELIKAN_DRAIN_ROUNDS rounds (100), by turns in each shape of the threads and over plain text, TLS 1.2 and TLS 1.3. In
each, when the signal is sent:
- some clients have written long pipelines, which the server has not finished,
- some have written the first half of a request only: they get nothing but the end,
- some have connected and written their first request just now: the server may not have accepted them yet,
- some ask, read the answer and ask again without a pause, until the server ends it.
"""
import os
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
import typing

from harness import Server
from pki import Pki
from tls_kit import PATIENCE, SERVER_NAMES, RecordClient, client_context, connect, receive, tls_settings

BINARIES = sys.argv[1]
ROUNDS = int(os.environ.get('PELIKAN_DRAIN_ROUNDS', '100'))
PIPELINES, PIPELINE = 20, 2000
HALVES = LATE = ASKERS = 3


class Kind(typing.NamedTuple):
    """A server, how its threads are arranged, and how one client counts on it: its requests' replies differ."""
    binary: str
    settings: list
    first: typing.Callable
    request: typing.Callable
    reply: typing.Callable


def ping(*settings):
    return Kind('pelikan-pingserver', list(settings), lambda _: (b'PING\r\n', b'PONG\r\n'),
                lambda _, __: b'PING\r\n', lambda _: b'PONG\r\n')


def segcache(*settings):
    return Kind('pelikan-segcache', ['seg.heap_size=16MB', *settings],
                lambda client: (b'set k%d 0 0 1\r\n0\r\n' % client, b'STORED\r\n'),
                lambda client, _: b'incr k%d 1\r\n' % client, lambda i: b'%d\r\n' % (i + 1))


KINDS = (ping('worker.threads=1'), segcache('worker.threads=1'), ping('worker.threads=3'),
         segcache('worker.threads=4', 'storage.execution=shared', 'seg.segment_size=64KB'),
         segcache('worker.threads=4', 'storage.execution=thread'))
TRANSPORTS = (None, 'TLSv1_2', 'TLSv1_3')


def open_plain(server):
    client = socket.create_connection(server.address, PATIENCE)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def expect_end(client):
    """close_notify with TLS, and the FIN. A reset raises."""
    assert client.recv(1) == b''
    if isinstance(client, ssl.SSLSocket):
        client = client.unwrap()
        assert client.recv(1) == b''
    client.close()


class Asker(threading.Thread):
    """One request after the other. The last may go unanswered: it was sent when the end had begun."""

    def __init__(self, kind, number, client):
        super().__init__()
        self.kind, self.number, self.client = kind, number, client
        self.asked, self.trouble = 0, None
        self.start()

    def run(self):
        try:
            while True:
                wanted = self.kind.reply(self.asked)
                self.client.sendall(self.kind.request(self.number, self.asked))
                reply = receive(self.client, len(wanted))
                if reply == b'':
                    break
                assert reply == wanted, f'{reply!r} instead of {wanted!r}'
                self.asked += 1
            expect_end(self.client)
        except Exception as error:  # whatever it is, the test must hear of it
            self.trouble = f'asking client {self.number} after {self.asked} replies: {type(error).__name__} {error}'


class Late:
    """Connects, and with TLS shakes hands, but has sent its last flight and its request together, and read nothing."""

    def __init__(self, kind, number, server, context):
        request, self.reply = kind.first(number)
        if context is None:
            self.client = open_plain(server)
            self.client.sendall(request)
        else:
            self.client = RecordClient(server.address, context, handshake=False)
            self.client.carry(self.client.tls.do_handshake)
            self.client.socket.sendall(self.client.made.read() + self.client.seal(request))

    def finish(self):
        if isinstance(self.client, RecordClient):
            assert self.client.receive(len(self.reply) + 1) == self.reply
            assert self.client.socket.recv(1) == b''
            self.client.socket.close()
        else:
            assert receive(self.client, len(self.reply)) == self.reply
            expect_end(self.client)


def round_of(kind, version, pki, ca, pair):
    context = version and client_context(ca, version)
    settings = kind.settings + ['server.drain_timeout=60s'] + (tls_settings(pair) if version else [])
    with Server(os.path.join(BINARIES, kind.binary), settings) as server:
        def introduce(number):
            client = connect(server.address, context) if context else open_plain(server)
            request, reply = kind.first(number)
            client.sendall(request)
            assert receive(client, len(reply)) == reply
            return client

        pipelines = [introduce(i) for i in range(PIPELINES)]
        halves = [introduce(100 + i) for i in range(HALVES)]
        askers = [Asker(kind, 200 + i, introduce(200 + i)) for i in range(ASKERS)]
        for client in halves:
            client.sendall(kind.request(100, 0)[:3])
        for number, client in enumerate(pipelines):
            client.sendall(b''.join(kind.request(number, i) for i in range(PIPELINE)))
        late = [Late(kind, 300 + i, server, context) for i in range(LATE)]
        started = time.monotonic()
        server.signal(signal.SIGTERM)

        wanted = b''.join(kind.reply(i) for i in range(PIPELINE))
        for number, client in enumerate(pipelines):
            replies = receive(client, len(wanted))
            assert replies == wanted, f'pipeline {number}: {len(replies)} of {len(wanted)} bytes, ...{replies[-50:]!r}'
            expect_end(client)
        for client in late:
            client.finish()
        for client in halves:
            expect_end(client)
        for asker in askers:
            asker.join()
            assert asker.trouble is None, asker.trouble
        assert server.wait() == 0
        return time.monotonic() - started, sum(asker.asked for asker in askers)


def main():
    slowest, asked = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        pki = Pki(folder)
        ca = pki.ca('ca')
        pair = pki.leaf(ca, 'server', san=SERVER_NAMES)
        for i in range(ROUNDS):
            kind, version = KINDS[i % len(KINDS)], TRANSPORTS[i // len(KINDS) % len(TRANSPORTS)]
            try:
                duration, more = round_of(kind, version, pki, ca, pair)
            except BaseException:
                print(f'round {i}: {kind.binary} {kind.settings}, {version or "plain text"}')
                raise
            slowest, asked = max(slowest, duration), asked + more
    per_round = PIPELINES * PIPELINE + LATE
    print(f'{ROUNDS} rounds: {ROUNDS * per_round} requests that had arrived and {asked} single ones answered, '
          f'the slowest drain took {slowest:.2f} s')


main()
