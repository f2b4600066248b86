"""Clients with and without the right certificate: only the right one gets an answer; each refusal is counted under its
own name, logged with the client's name and told to the client. And what does not go together is refused at the start.

    mtls_test.py PATH_TO_pelikan-segcache
"""
import os
import socket
import ssl
import sys
import tempfile
import threading
import typing

from harness import Server, refused, wait_until
from pki import DAY, Pair, Pki
from tls_kit import PATIENCE, SERVER_NAMES, VERSIONS, client_context, connect, receive, tls_settings

BINARY = sys.argv[1]
LOG_ROUNDS = 40  # the log shows five refusals a second; we ask again until ours is one of them


class Refusal(typing.NamedTuple):
    identity: Pair | None
    cause: str  # the end of the counter's name
    log: str    # words of the log's line
    alert: str  # what the client is told


class World:
    """The certificates of this test. Every client has a name of its own: DNS:NAME.clients.example."""

    def __init__(self, folder):
        self.pki = pki = Pki(folder)
        self.root = pki.ca('root')
        self.inner = pki.ca('inner', issuer=self.root)
        self.server = pki.leaf(self.root, 'server', san=SERVER_NAMES)
        self.stranger_ca = pki.ca('stranger-ca')
        self.right = self.client('right')
        self.right_inner = self.client('right-inner', self.inner)
        self.right_chain = Pair(pki.bundle('right-chain.pem', self.right_inner.certificate, self.inner.certificate),
                                self.right_inner.key)
        self.stranger = self.client('stranger', self.stranger_ca)
        self.self_signed = self.client('self-signed', None)
        self.expired = self.client('expired', not_before=-2 * DAY, not_after=-DAY)
        self.early = self.client('early', not_before=DAY, not_after=2 * DAY)
        self.revoked = self.client('revoked')
        self.revoked_inner = self.client('revoked-inner', self.inner)
        self.elsewhere = pki.leaf(self.root, 'elsewhere', san=['DNS:elsewhere.example', 'URI:spiffe://test/elsewhere'])
        self.not_a_client = self.client('not-a-client', usage='serverAuth')
        self.authorities = pki.bundle('authorities.pem', self.root.certificate, self.inner.certificate)
        self.lists = pki.bundle('lists.pem', pki.crl(self.root, revoked=[self.revoked]),
                                pki.crl(self.inner, revoked=[self.revoked_inner]))

    def client(self, name, issuer='root', **more):
        issuer = self.root if issuer == 'root' else issuer
        return self.pki.leaf(issuer, name, san=[f'DNS:{name}.clients.example', f'URI:spiffe://test/{name}'], **more)

    def refusals(self):
        """For a server that has the root, the inner authority and both their lists."""
        none = {'TLSv1_2': 'HANDSHAKE_FAILURE', 'TLSv1_3': 'CERTIFICATE_REQUIRED'}
        return {
            'no certificate': Refusal(None, 'no_certificate', 'sent no certificate', none),
            'wrong authority': Refusal(self.stranger, 'unknown_issuer', 'spiffe://test/stranger', 'UNKNOWN_CA'),
            'self-signed': Refusal(self.self_signed, 'unknown_issuer', 'spiffe://test/self-signed', 'UNKNOWN_CA'),
            'expired': Refusal(self.expired, 'expired', 'spiffe://test/expired', 'CERTIFICATE_EXPIRED'),
            'not yet valid': Refusal(self.early, 'not_yet_valid', 'spiffe://test/early', 'BAD_CERTIFICATE'),
            'revoked': Refusal(self.revoked, 'revoked', 'spiffe://test/revoked', 'CERTIFICATE_REVOKED'),
            'revoked by the inner authority':
                Refusal(self.revoked_inner, 'revoked', 'spiffe://test/revoked-inner', 'CERTIFICATE_REVOKED'),
            'not on the allow-list':
                Refusal(self.elsewhere, 'not_allowed', 'spiffe://test/elsewhere', 'HANDSHAKE_FAILURE'),
            'not for clients': Refusal(self.not_a_client, 'bad_certificate', 'spiffe://test/not-a-client',
                                       'UNSUPPORTED_CERTIFICATE'),
        }


def attempt(server, world, version, identity):
    """The reply, or how the server refused. A client's handshake of TLS 1.3 is over before the server has judged it."""
    try:
        with connect(server.address, client_context(world.root, version, identity)) as connection:
            connection.sendall(b'get absent\r\n')
            return receive(connection, 5)
    except ssl.SSLError as error:
        return error.reason


def refusals_counted(server):
    return {name: value for name, value in server.stats().items()
            if name.startswith('tls_failure_') or name in ('stream_handshake', 'stream_handshake_ex')}


def check_refused(server, world, version, name, refusal):
    alert = refusal.alert[version] if isinstance(refusal.alert, dict) else refusal.alert
    for _ in range(LOG_ROUNDS):
        before = refusals_counted(server)
        outcome = attempt(server, world, version, refusal.identity)
        assert str(outcome).endswith('ALERT_' + alert), f'{version}, {name}: {outcome!r}\n{server.output()}'
        wanted = {'tls_failure_' + refusal.cause: 1, 'stream_handshake_ex': 1}
        after = refusals_counted(server)
        counted = {key: after[key] - before[key] for key in after if after[key] != before[key]}
        assert counted == wanted, f'{version}, {name}: {counted}\n{server.output()}'
        if any('TLS with 127.0.0.1:' in line and refusal.log in line for line in server.output().splitlines()):
            return
        threading.Event().wait(0.1)
    raise AssertionError(f'{version}, {name}: no line of the log has {refusal.log!r}:\n{server.output()}')


def peers_of(connection):
    connection.sendall(b'stats conns\r\n')
    report = b''
    while not report.endswith(b'END\r\n'):
        report += connection.recv(4096)
    return [line.split()[2] for line in report.decode().splitlines() if ':tls_peer ' in line]


def check_admitted(server, world, version, identity, shown):
    context, session = client_context(world.root, version, identity), None
    for resumed in (False, True):
        with connect(server.address, context, session) as connection:
            assert connection.session_reused == resumed, f'{version}, {shown}'
            # The one before it may still be with another worker, which has not noticed yet that it was closed.
            wait_until(lambda: peers_of(connection) == [shown], f'{shown} being the only connection')
            session = connection.session
    server.wait_for_output(f'client {shown} connected from 127.0.0.1:')


def check_plain_text(server):
    """Nothing of the protocol is answered before a handshake, and nothing at all but an alert."""
    for request in (b'get absent\r\n', b'set a 0 0 1\r\nx\r\n', b'\x16get absent\r\n', b'version\r\n' * 1000):
        with socket.create_connection(server.address, PATIENCE) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            reply = connection.makefile('rb').read()
            assert reply == b'' or reply[0] == 0x15, reply


def test_the_matrix(world):
    settings = tls_settings(world.server, f'tls.ca_file={world.authorities}', f'tls.crl_file={world.lists}',
                            'tls.allow=DNS:*.clients.example')
    with Server(BINARY, settings) as server:
        server.wait_for_output('client certificates required')
        for version in VERSIONS:
            for name, refusal in world.refusals().items():
                check_refused(server, world, version, name, refusal)
            check_admitted(server, world, version, world.right, 'DNS:right.clients.example')
            check_admitted(server, world, version, world.right_inner, 'DNS:right-inner.clients.example')
            check_admitted(server, world, version, world.right_chain, 'DNS:right-inner.clients.example')
            check_plain_text(server)
        print(f'{len(world.refusals())} refusals and 3 admissions, TLS 1.2 and 1.3: '
              f'{server.stats()["stream_handshake_ex"]} refused, {server.stats()["stream_handshake"]} let in')


def test_an_intermediate_is_sent_along(world):
    """The server knows the root alone: who sends the chain comes in, who leaves out the inner authority does not."""
    alone = Refusal(world.right_inner, 'unknown_issuer', 'spiffe://test/right-inner', 'UNKNOWN_CA')
    with Server(BINARY, tls_settings(world.server, f'tls.ca_file={world.root.certificate}')) as server:
        for version in VERSIONS:
            check_refused(server, world, version, 'without the inner authority', alone)
            check_admitted(server, world, version, world.right_chain, 'URI:spiffe://test/right-inner')


def test_an_authority_without_a_list(world):
    unlisted = Refusal(world.right_chain, 'no_revocation_list', 'spiffe://test/right-inner', 'UNKNOWN_CA')
    settings = tls_settings(world.server, f'tls.ca_file={world.root.certificate}',
                            f'tls.crl_file={world.pki.path("root.crl")}')
    with Server(BINARY, settings) as server:
        for version in VERSIONS:
            check_refused(server, world, version, 'no list of the inner authority', unlisted)
            check_admitted(server, world, version, world.right, 'URI:spiffe://test/right')


def test_names_are_matched_by_kind(world):
    """`right` has the names DNS:right.clients.example, URI:spiffe://test/right and CN:right."""
    for pattern, shown in (('DNS:right.clients.example', 'DNS:right.clients.example'),
                           ('URI:spiffe://test/*', 'URI:spiffe://test/right'), ('CN:right', 'CN:right'),
                           ('CN:nobody,URI:spiffe://**', 'URI:spiffe://test/right'), ('DNS:*.example', None),
                           ('DNS:right', None), ('CN:right.clients.example', None), ('URI:right', None)):
        settings = tls_settings(world.server, f'tls.ca_file={world.root.certificate}', f'tls.allow={pattern}')
        with Server(BINARY, settings) as server:
            if shown:
                check_admitted(server, world, 'TLSv1_3', world.right, shown)
            else:
                refusal = Refusal(world.right, 'not_allowed', 'spiffe://test/right', 'HANDSHAKE_FAILURE')
                check_refused(server, world, 'TLSv1_3', pattern, refusal)


def test_only_new_versions(world):
    with Server(BINARY, tls_settings(world.server, 'tls.min_version=1.3')) as server:
        old = Refusal(None, 'no_common_ways', 'version', 'PROTOCOL_VERSION')
        check_refused(server, world, 'TLSv1_2', 'TLS 1.2', old)
        assert attempt(server, world, 'TLSv1_3', None) == b'END\r\n'


def test_what_refuses_to_start(world):
    pki, server, root = world.pki, world.server, world.root
    garbage = pki.path('garbage.pem')
    with open(garbage, 'wb') as file:
        file.write(b'-----BEGIN CERTIFICATE-----\nnothing\n-----END CERTIFICATE-----\n' + bytes(range(256)))
    missing = pki.path('missing.pem')
    late = pki.leaf(root, 'late', not_before=-2 * DAY, not_after=-DAY)
    early = pki.leaf(root, 'early-server', not_before=DAY, not_after=2 * DAY)
    old_list = pki.crl(root, name='old.crl', last_update=-2 * DAY, next_update=-DAY)
    foreign_list = pki.crl(world.stranger_ca, name='foreign.crl')
    certificate, key = f'tls.certificate={server.certificate}', f'tls.private_key={server.key}'
    ca_file, allow = f'tls.ca_file={root.certificate}', 'tls.allow=DNS:x'
    cases = (
        ([key], 'tls.certificate'),
        ([certificate], 'tls.private_key'),
        ([f'tls.certificate_chain={server.certificate}'], 'tls.private_key'),
        ([certificate, f'tls.private_key={root.key}'], 'tls.private_key', root.key, 'pair'),
        ([f'tls.certificate={root.certificate}', key], 'tls.private_key', server.key, 'pair'),
        (tls_settings(late), 'tls.certificate', late.certificate, 'expired'),
        (tls_settings(early), 'tls.certificate', early.certificate, 'not valid yet'),
        ([f'tls.certificate={garbage}', key], 'tls.certificate', garbage),
        ([f'tls.certificate={server.key}', key], 'tls.certificate', server.key),
        ([f'tls.certificate={missing}', key], 'tls.certificate', missing, 'No such file'),
        ([certificate, f'tls.private_key={garbage}'], 'tls.private_key', garbage),
        ([certificate, f'tls.private_key={missing}'], 'tls.private_key', missing, 'No such file'),
        ([certificate, f'tls.private_key={server.certificate}'], 'tls.private_key', server.certificate),
        ([certificate, key, f'tls.ca_file={missing}'], 'tls.ca_file', missing, 'No such file'),
        ([certificate, key, f'tls.ca_file={pki.folder}'], 'tls.ca_file', pki.folder),
        ([certificate, key, f'tls.ca_file={garbage}'], 'tls.ca_file', garbage),
        ([certificate, key, f'tls.ca_file={server.certificate}'], 'tls.ca_file', server.certificate, 'CA:FALSE'),
        ([certificate, key, f'tls.ca_file={world.inner.certificate}'], 'tls.ca_file', world.inner.certificate, 'inner'),
        ([certificate, key, ca_file, f'tls.crl_file={missing}'], 'tls.crl_file', missing, 'No such file'),
        ([certificate, key, ca_file, f'tls.crl_file={garbage}'], 'tls.crl_file', garbage),
        ([certificate, key, ca_file, f'tls.crl_file={old_list}'], 'tls.crl_file', old_list, 'out of date'),
        ([certificate, key, ca_file, f'tls.crl_file={foreign_list}'], 'tls.crl_file', foreign_list, 'ca_file'),
        ([certificate, key, f'tls.crl_file={world.lists}'], 'tls.crl_file', 'ca_file'),
        ([certificate, key, allow], 'tls.allow', 'ca_file'),
        ([allow], 'tls.certificate'),
        ([ca_file], 'tls.certificate'),
        ([certificate, key, ca_file, 'tls.allow=example.com'], 'tls.allow', 'example.com'),
        ([certificate, key, ca_file, 'tls.allow=DNS:x,IP:'], 'tls.allow', 'IP:'),
        ([certificate, key, ca_file, 'tls.allow=IP:10.0.0.1/8'], 'tls.allow', '"IP:10.0.0.1/8"', 'network'),
        ([certificate, key, ca_file, 'tls.allow=IP:300.*'], 'tls.allow', '"IP:300.*"', 'no IP address'),
        ([certificate, key, 'tls.ciphers=NO-SUCH-CIPHER'], 'tls.ciphers', 'NO-SUCH-CIPHER'),
        ([certificate, key, 'tls.ciphers=aNULL@SECLEVEL=0'], 'tls.ciphers'),
        ([certificate, key, 'tls.ciphersuites=TLS_NO_SUCH'], 'tls.ciphersuites', 'TLS_NO_SUCH'),
        ([certificate, key, 'tls.min_version=1.1'], 'tls.min_version', '1.2'),
        ([certificate, key, 'tls.min_version=none'], 'tls.min_version', '1.2'),
        ([certificate, key, 'tls.certificat=x'], 'tls.certificat', 'tls.certificate'),
    )
    for settings, *words in cases:
        free = ['server.port=0', 'admin.port=0']
        refused(BINARY, [word for setting in free + settings for word in ('--set', setting)], *words)
    print(f'{len(cases)} wrong settings refused at start')


def main():
    with tempfile.TemporaryDirectory() as folder:
        world = World(folder)
        for name, test in list(globals().items()):
            if name.startswith('test_') and (not sys.argv[2:] or name in sys.argv[2:]):
                test(world)
                print('passed', name, flush=True)


main()
