"""The admin port over TLS and the reload of certificates, asked by curl, openssl and Python's ssl.

    admin_tls_test.py FOLDER_OF_BINARIES
"""
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile

import harness
from harness import COMMAND_TIMEOUT_S, Server, run
from pki import DAY, Pki, install

BINARIES = sys.argv[1]
PING = os.path.join(BINARIES, 'pelikan-pingserver')
SEGCACHE = os.path.join(BINARIES, 'pelikan-segcache')
EMPTY_REPLY = 52  # curl: the server said nothing
RELOAD = ('-X', 'POST')


class Site:
    """All certificates, and the settings that use them. What is served lies in files of its own, to be replaced."""

    def __init__(self, folder):
        self.pki = pki = Pki(folder)
        self.ca = pki.ca('ca')
        self.first = pki.leaf(self.ca, 'first', san=['DNS:localhost', 'IP:127.0.0.1'])
        self.second = pki.leaf(self.ca, 'second', san=['DNS:localhost', 'IP:127.0.0.1'])
        self.operators = pki.ca('operators')
        self.ann = pki.leaf(self.operators, 'ann', san=['URI:spiffe://prod/ops/ann'])
        self.bob = pki.leaf(self.operators, 'bob', san=['URI:spiffe://prod/ops/bob'])
        self.web = pki.leaf(self.operators, 'web', san=['URI:spiffe://prod/web'])
        self.late = pki.leaf(self.operators, 'late', san=['URI:spiffe://prod/ops/x'], not_before=-2 * DAY,
                             not_after=-DAY)
        self.stranger = pki.leaf(pki.ca('other'), 'stranger', san=['URI:spiffe://prod/ops/ann'])
        self.certificate, self.key, self.crl = (pki.path(name) for name in ('served.pem', 'served.key', 'served.crl'))

    def settings(self, section='admin_tls', mutual=False):
        self.serve(self.first)
        settings = ['admin.use_tls=true', f'{section}.certificate_chain={self.certificate}',
                    f'{section}.private_key={self.key}']
        if mutual:
            self.revoke()
            settings += [f'{section}.ca_file={self.operators.certificate}', f'{section}.crl_file={self.crl}',
                         f'{section}.allow=URI:spiffe://prod/ops/*']
        return settings

    def serve(self, pair):
        install(pair.key, self.key)
        install(pair.certificate, self.certificate)

    def revoke(self, *pairs):
        install(self.pki.crl(self.operators, revoked=pairs), self.crl)

    def curl(self, server, path, *options, client=None, scheme='https'):
        """curl's exit code, the HTTP status and the body."""
        words = ['curl', '--silent', '--cacert', self.ca.certificate, '--write-out', '\n%{http_code}', *options,
                 f'{scheme}://127.0.0.1:{server.admin_port}{path}']
        if client:
            words += ['--cert', client.certificate, '--key', client.key]
        code, output = run(*words)
        body, _, status = output.rpartition('\n')
        return code, int(status), body

    def fetch(self, server, path, *options, **named):
        code, status, body = self.curl(server, path, *options, **named)
        assert (code, status) == (0, 200), f'{path}: curl {code}, status {status}\n{body}'
        return body

    def context(self, client=None, version=None):
        context = ssl.create_default_context(cafile=self.ca.certificate)
        if client:
            context.load_cert_chain(client.certificate, client.key)
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def connect(self, server, **named):
        plain = socket.create_connection(('127.0.0.1', server.admin_port), COMMAND_TIMEOUT_S)
        return self.context(**named).wrap_socket(plain, server_hostname='localhost', suppress_ragged_eofs=False)


def metric(body, name):
    return int(re.search(rf'^{name}_total (\d+)$', body, re.MULTILINE)[1])


def receive_all(client):
    data = b''
    while piece := client.recv(65536):  # an end without close_notify would raise
        data += piece
    return data


def refused(settings, *words):
    """By a start, and by --check, too."""
    arguments = [word for setting in settings for word in ('--set', setting)]
    for extra in ([], ['--check']):
        harness.refused(PING, arguments + extra, *words)


def test_settings_that_do_not_go_together(site):
    certificate, key = f'certificate_chain={site.first.certificate}', f'private_key={site.first.key}'
    refused(['admin.use_tls=true'], 'admin.use_tls', 'tls.certificate_chain')
    refused(['admin.use_tls=true', f'admin_tls.ca_file={site.ca.certificate}', f'tls.{certificate}', f'tls.{key}'],
            'admin_tls.certificate_chain')
    refused([f'admin_tls.{certificate}', f'admin_tls.{key}'], 'admin_tls', 'admin.use_tls')
    refused(['admin.use_tls=true', f'admin_tls.{certificate}'], 'admin_tls.private_key')


def test_one_section_or_the_other(site):
    for section in ('tls', 'admin_tls'):
        with Server(PING, site.settings(section)) as server:
            assert site.fetch(server, '/healthz') == 'ok\n'
            assert site.fetch(server, '/tls/reload', *RELOAD) == f'{section}: unchanged\n'
    both = [f'tls.certificate_chain={site.second.certificate}', f'tls.private_key={site.second.key}']
    with Server(PING, site.settings() + both) as server:
        with site.connect(server) as client:
            assert ('commonName', 'first') in [pair for part in client.getpeercert()['subject'] for pair in part]
        assert site.fetch(server, '/tls/reload', *RELOAD) == 'tls: unchanged\nadmin_tls: unchanged\n'


def test_pages_and_commands(site):
    with Server(SEGCACHE, site.settings() + ['seg.heap_size=16MB']) as server:
        for version in ('1.2', '1.3'):
            only = (f'--tlsv{version}', '--tls-max', version)
            for path in ('/', '/healthz', '/readyz', '/vars.json', '/metrics'):
                site.fetch(server, path, *only)
            assert site.fetch(server, '/healthz', '--head', *only).startswith('HTTP/1.1 200 OK')
            assert site.curl(server, '/nothing', *only)[:2] == (0, 404)
        url = f'https://127.0.0.1:{server.admin_port}/healthz'
        twice = ('--write-out', '%{num_connects} ', url, url)
        code, output = run('curl', '--silent', '--cacert', site.ca.certificate, *twice)
        assert (code, output) == (0, 'ok\n1 ok\n0 '), output
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with site.connect(server, version=version) as client:
                client.sendall(b'version\r\nflush_all\r\nquit\r\n')
                assert re.fullmatch(rb'VERSION \S+\r\nOK\r\n', receive_all(client))
        done = subprocess.run(['openssl', 's_client', '-quiet', '-CAfile', site.ca.certificate, '-verify_return_error',
                               '-connect', f'127.0.0.1:{server.admin_port}'], input=b'stats\nquit\n',
                              capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False)
        assert done.stdout.startswith(b'STAT ') and done.stdout.endswith(b'END\r\n'), done


def test_clients_come_back_with_a_ticket(site):
    with Server(PING, site.settings(mutual=True)) as server:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context, session = site.context(site.ann, version), None
            for resumed in (False, True):
                plain = socket.create_connection(('127.0.0.1', server.admin_port), COMMAND_TIMEOUT_S)
                with context.wrap_socket(plain, server_hostname='localhost', session=session) as client:
                    client.sendall(b'version\r\n')
                    assert client.recv(100).startswith(b'VERSION ')
                    assert client.session_reused == resumed, version
                    session = client.session
                    client.sendall(b'quit\r\n')
                    receive_all(client)


def test_only_the_right_client_gets_in(site):
    wrong = {'the client sent no certificate': None, 'unable to get local issuer certificate': site.stranger,
             'certificate has expired': site.late, 'certificate revoked': site.bob,
             'no name in it is on the allow-list': site.web}
    settings = site.settings(mutual=True)
    site.revoke(site.bob)
    for words, client in wrong.items():
        with Server(PING, settings) as server:  # one each: of many lines in a second some are left out
            for version in ('1.2', '1.3'):
                code, status, body = site.curl(server, '/healthz', '--tls-max', version, client=client)
                assert code != 0 and status == 0 and not body, f'{words}, {version}: curl {code}, {status}, {body}'
            server.wait_for_output(words)
            assert metric(site.fetch(server, '/metrics', client=site.ann), 'admin_tls_handshake_ex') == 2


def test_the_wrong_language(site):
    with Server(PING, site.settings()) as server:
        assert site.curl(server, '/healthz', scheme='http')[0] == EMPTY_REPLY
        with socket.create_connection(('127.0.0.1', server.admin_port), COMMAND_TIMEOUT_S) as client:
            client.sendall(b'stats\r\n')
            assert receive_all(client) == b''
        server.wait_for_output('speaks no TLS')
        assert metric(site.fetch(server, '/metrics'), 'admin_tls_handshake_ex') == 2
    with Server(PING) as server:
        assert site.curl(server, '/healthz')[0] != 0
        server.wait_for_output('began TLS')
        assert metric(site.fetch(server, '/metrics', scheme='http'), 'admin_tls_on_plain_port') == 1
        assert site.curl(server, '/tls/reload', *RELOAD, scheme='http')[1] == 404


def test_a_stalled_handshake_ends(site):
    with Server(PING, site.settings() + ['admin.idle_timeout=200ms']) as server:
        with socket.create_connection(('127.0.0.1', server.admin_port), COMMAND_TIMEOUT_S) as client:
            client.sendall(b'\x16\x03\x01\x02\x00\x01')
            assert receive_all(client) == b''
        server.wait_for_output('not done within admin.idle_timeout')


def served_name(site, server, client=None):
    with site.connect(server, client=client) as connection:
        return dict(pair for part in connection.getpeercert()['subject'] for pair in part)['commonName']


def test_reload(site):
    with Server(PING, site.settings(mutual=True)) as server:
        def reload(*options, client=site.ann):
            return site.curl(server, '/tls/reload', *RELOAD, *options, client=client)[1:]

        assert site.curl(server, '/tls/reload', client=site.ann)[1] == 405
        assert reload('-H', 'Origin: https://evil.example')[0] == 403
        assert reload('-d', 'body')[0] == 413
        assert served_name(site, server, site.ann) == 'first'
        site.serve(site.second)
        assert reload('-H', f'Origin: https://127.0.0.1:{server.admin_port}')[0] == 200
        assert served_name(site, server, site.ann) == 'second'
        with open(site.certificate, 'w', encoding='ascii') as file:
            file.write('nonsense')
        status, body = reload()
        assert status == 500 and site.certificate in body, f'{status} {body}'
        assert served_name(site, server, site.ann) == 'second'
        site.serve(site.first)
        with site.connect(server, client=site.bob) as open_one:
            open_one.sendall(b'version\r\n')
            assert open_one.recv(100).startswith(b'VERSION ')
            site.revoke(site.bob)
            assert reload()[0] == 200
            open_one.sendall(b'version\r\n')
            assert receive_all(open_one) == b''
        assert site.curl(server, '/healthz', client=site.bob)[0] != 0
        assert served_name(site, server, site.ann) == 'first'


def test_reload_of_the_allow_list(site):
    file = site.pki.path('config.toml')

    def allow(*patterns):
        with open(file + '.new', 'w', encoding='ascii') as out:
            out.write(f'[admin_tls]\nallow = {list(patterns)}\n')
        os.replace(file + '.new', file)

    allow('URI:spiffe://prod/ops/*')
    settings = [word for word in site.settings(mutual=True) if '.allow=' not in word]
    with Server(PING, settings, file=file) as server, site.connect(server, client=site.bob) as open_one:
        open_one.sendall(b'version\r\n')
        assert open_one.recv(100).startswith(b'VERSION ')
        allow('URI:spiffe://prod/ops/ann')
        server.wait_for_output('admin_tls: certificates swapped, and clients are checked again')
        open_one.sendall(b'version\r\n')
        assert receive_all(open_one) == b''
        assert site.curl(server, '/healthz', client=site.bob)[0] != 0
        allow('URI:spiffe://prod/ops/ann', 'bob')
        server.wait_for_output('admin_tls.allow: "bob" must begin with')
        assert site.curl(server, '/healthz', client=site.ann)[1] == 200
        assert metric(site.fetch(server, '/metrics', client=site.ann), 'admin_tls_reload_ex') >= 1


def main():
    with tempfile.TemporaryDirectory() as folder:
        site = Site(folder)
        for name, test in list(globals().items()):
            if name.startswith('test_'):
                test(site)
                print('passed', name)


main()
