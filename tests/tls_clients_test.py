"""Real clients over TLS, each with what it is known for: openssl s_client, Python's ssl, pymemcache and Node's tls.

To try them on Debian's memcached: PELIKAN_SERVER=/usr/bin/memcached python3 tests/tls_clients_test.py (it fails three:
old ciphers, a long pipeline, and requests behind which the client ends).
"""
import os
import re
import socket
import ssl
import tempfile
import unittest
from pathlib import Path

import pymemcache
from harness import ServerTest, run, start
from pki import Pki
from tls_kit import SERVER_NAMES, VERSIONS, RecordClient, client_context, connect, receive

HERE = Path(__file__).parent
LARGE = bytes(range(256)) * 3906  # 999,936 bytes, some 60 records
IS_MEMCACHED = os.environ['PELIKAN_SERVER'].endswith('/memcached')  # it resumes no sessions, and does not half-close


def value(key, data, flags=0):
    return b'VALUE %s %d %d\r\n%s\r\n' % (key, flags, len(data), data)


class TlsTest(ServerTest):
    @classmethod
    def start(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        pki = Pki(folder.name)
        cls.ca = pki.ca('ca')
        cls.folder = folder.name
        return start(pki.leaf(cls.ca, 'server', san=SERVER_NAMES))

    def connect(self, port=None, version=None):
        return connect(self.server.address, client_context(self.ca, version))

    def exchange(self, connection, request, reply):
        connection.sendall(request)
        self.assertEqual(receive(connection, len(reply)), reply)


class OpensslClient(TlsTest):
    def s_client(self, *options, commands='set k 5 0 1\r\nv\r\nget k\r\nquit\r\n'):
        output = self.succeed('openssl', 's_client', '-connect', self.host_port, '-servername', 'localhost', '-CAfile',
                              self.ca.certificate, '-verify_return_error', '-verify_hostname', 'localhost',
                              *options, stdin=commands.encode())
        self.assertIn('STORED\r\nVALUE k 5 1\r\nv\r\nEND\r\n', output)
        return output

    def test_talks(self):
        for option, version in (('-tls1_2', 'TLSv1.2'), ('-tls1_3', 'TLSv1.3')):
            self.assertRegex(self.s_client('-ign_eof', option), f'New, {re.escape(version)}, Cipher is')
        self.s_client('-quiet')

    def test_ciphers_can_be_chosen(self):
        for option, choice, shown in (('-cipher', 'ECDHE-ECDSA-CHACHA20-POLY1305', None),
                                      ('-cipher', 'ECDHE-ECDSA-AES256-GCM-SHA384', None),
                                      ('-ciphersuites', 'TLS_AES_256_GCM_SHA384', None),
                                      ('-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256', None),
                                      ('-curves', 'X25519', 'Server Temp Key: X25519'),
                                      ('-curves', 'P-256', 'Server Temp Key: ECDH, prime256v1'),
                                      ('-curves', 'P-384', 'Server Temp Key: ECDH, secp384r1')):
            version = '-tls1_2' if option == '-cipher' else '-tls1_3'
            self.assertIn(shown or f'Cipher is {choice}', self.s_client('-ign_eof', version, option, choice))

    def test_refuses_what_is_old(self):
        for options in (('-tls1_1', '-cipher', 'DEFAULT:@SECLEVEL=0'), ('-tls1_2', '-cipher', 'AES128-SHA'),
                        ('-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA')):
            code, output = run('openssl', 's_client', '-connect', self.host_port, *options, stdin=b'version\r\n')
            self.assertNotEqual(code, 0, output)
            self.assertNotIn('VERSION', output)

    @unittest.skipIf(IS_MEMCACHED, 'memcached resumes no sessions')
    def test_reconnect(self):
        output = self.s_client('-ign_eof', '-tls1_2', '-reconnect')
        self.assertEqual(output.count('Reused, TLSv1.2'), 5, output)
        self.assertEqual(output.count('New, TLSv1.2'), 1, output)

    @unittest.skipIf(IS_MEMCACHED, 'memcached resumes no sessions')
    def test_session_file(self):
        resumed = self.server.stats()['tls_handshake_resumed']
        for option, version in (('-tls1_2', 'TLSv1.2'), ('-tls1_3', 'TLSv1.3')):
            session = os.path.join(self.folder, 'session')
            self.assertIn(f'New, {version}', self.s_client('-ign_eof', option, '-sess_out', session))
            for _ in range(3):
                self.assertIn(f'Reused, {version}',
                              self.s_client('-ign_eof', option, '-sess_in', session, '-sess_out', session))
        self.assertEqual(self.server.stats()['tls_handshake_resumed'] - resumed, 6)


class PythonSsl(TlsTest):
    def test_talks(self):
        for version in VERSIONS:
            with self.connect(version=version) as connection:
                self.assertEqual(connection.version(), version.replace('_', '.'))
                self.exchange(connection, b'set k 1 0 2\r\nab\r\n', b'STORED\r\n')
                self.exchange(connection, b'get k\r\n', value(b'k', b'ab', 1) + b'END\r\n')

    @unittest.skipIf(IS_MEMCACHED, 'memcached resumes no sessions')
    def test_resumes(self):
        for version in VERSIONS:
            context, session = client_context(self.ca, version), None
            for round_ in range(4):
                with connect(self.server.address, context, session) as connection:
                    self.assertEqual(connection.session_reused, round_ > 0, version)
                    self.exchange(connection, b'get absent\r\n', b'END\r\n')
                    session = connection.session

    def test_large_values(self):
        for version in VERSIONS:
            with self.connect(version=version) as connection:
                self.exchange(connection, b'set large 0 0 %d\r\n%s\r\n' % (len(LARGE), LARGE), b'STORED\r\n')
                self.exchange(connection, b'get large\r\n' * 3, (value(b'large', LARGE) + b'END\r\n') * 3)

    def test_pipeline(self):
        for version in VERSIONS:
            with self.connect(version=version) as connection:
                self.exchange(connection, b''.join(b'set %d 0 0 2 noreply\r\n%02d\r\n' % (i, i % 100)
                                                   for i in range(1000)) + b'version\r\n', b'VERSION')
                connection.recv(100)
                self.exchange(connection, b''.join(b'get %d\r\n' % i for i in range(1000)),
                              b''.join(value(b'%d' % i, b'%02d' % (i % 100)) + b'END\r\n' for i in range(1000)))

    def test_slow_reader(self):
        """Asks for 40 MB before it reads: more than sockets and the session's output hold."""
        with self.connect() as connection:
            self.exchange(connection, b'set large 0 0 %d\r\n%s\r\n' % (len(LARGE), LARGE), b'STORED\r\n')
            self.exchange(connection, b'get large\r\n' * 40, (value(b'large', LARGE) + b'END\r\n') * 40)

    @unittest.skipIf(IS_MEMCACHED, 'memcached closes at once')
    def test_half_close(self):
        """Request and close_notify in one segment: the reply comes, then the server's close_notify, then its FIN."""
        for version in VERSIONS:
            with RecordClient(self.server.address, client_context(self.ca, version)) as client:
                client.socket.sendall(client.seal(b'get absent\r\n' * 100) + client.goodbye())
                self.assertEqual(client.receive(501), b'END\r\n' * 100)
                self.assertEqual(client.socket.recv(1), b'')
            with self.connect(version=version) as connection:
                self.exchange(connection, b'get absent\r\n', b'END\r\n')
                with connection.unwrap() as plain:  # raises unless the server says close_notify
                    self.assertEqual(plain.recv(1), b'')

    @unittest.skipIf(IS_MEMCACHED, 'memcached closes at once')
    def test_end_without_close_notify(self):
        for version in VERSIONS:
            with RecordClient(self.server.address, client_context(self.ca, version)) as client:
                client.socket.sendall(client.seal(b'get absent\r\n'))
                client.socket.shutdown(socket.SHUT_WR)
                self.assertEqual(client.receive(6), b'END\r\n')

    @unittest.skipIf(IS_MEMCACHED, 'memcached has no such counters')
    def test_what_comes_with_the_handshake_is_counted(self):
        """A request in one segment with the end of the handshake; of TLS 1.2 that is only possible when it resumes."""
        def counted():
            stats = self.server.stats()
            return stats['session_recv'], stats['session_recv_byte']
        receives, octets = counted()
        with RecordClient(self.server.address, client_context(self.ca, 'TLSv1_3'), False) as client:
            client.carry(client.tls.do_handshake)
            end, request = client.made.read(), client.seal(b'get absent\r\n')
            client.socket.sendall(end + request)
            self.assertEqual(client.receive(5), b'END\r\n')
            self.assertEqual(counted(), (receives + 1, octets + len(request)))

    def test_quit(self):
        with self.connect() as connection:
            connection.sendall(b'get absent\r\nquit\r\n')
            self.assertEqual(receive(connection, 100), b'END\r\n')
            connection.unwrap().close()


class Records(TlsTest):
    """Records need not be cut where requests are, nor segments where records are."""

    def test_cut_anywhere(self):
        """Each piece is known to be there before the next is sent: another client has had its turn."""
        for version in VERSIONS:
            with RecordClient(self.server.address, client_context(self.ca, version)) as client, \
                    self.connect() as other:
                at, sealed = 0, b'..'
                while (at := at + 1) < len(sealed):
                    sealed = client.seal(b'get ab') + client.seal(b'sent\r\n')
                    client.socket.sendall(sealed[:at])
                    self.exchange(other, b'get absent\r\n', b'END\r\n')
                    client.socket.sendall(sealed[at:])
                    self.assertEqual(client.receive(5), b'END\r\n')

    def test_a_byte_at_a_time(self):
        for version in VERSIONS:
            with RecordClient(self.server.address, client_context(self.ca, version)) as client:
                for byte in client.seal(b'set k 0 0 1\r\nv\r\nget k\r\n'):
                    client.socket.sendall(bytes([byte]))
                self.assertEqual(client.receive(29), b'STORED\r\n' + value(b'k', b'v') + b'END\r\n')

    def test_a_byte_per_record(self):
        request = b'set k 0 0 1000\r\n' + b'v' * 1000 + b'\r\nget k\r\n'
        reply = b'STORED\r\n' + value(b'k', b'v' * 1000) + b'END\r\n'
        for version in VERSIONS:
            with RecordClient(self.server.address, client_context(self.ca, version)) as client:
                client.socket.sendall(b''.join(client.seal(bytes([byte])) for byte in request))
                self.assertEqual(client.receive(len(reply)), reply)

    def test_large_values_in_odd_pieces(self):
        request = b'set large 0 0 %d\r\n%s\r\n' % (len(LARGE), LARGE)
        for version in VERSIONS:
            with RecordClient(self.server.address, client_context(self.ca, version)) as client:
                sealed, at = client.seal(request), 0
                while at < len(sealed):
                    size = 1 + at * 7919 % 40_000
                    client.socket.sendall(sealed[at:at + size])
                    at += size
                self.assertEqual(client.receive(8), b'STORED\r\n')

    def test_handshake_a_byte_at_a_time(self):
        for version in VERSIONS:
            client = RecordClient(self.server.address, client_context(self.ca, version), handshake=False)
            client.flush = lambda: [client.socket.sendall(bytes([byte])) for byte in client.made.read()]
            with client:
                client.carry(client.tls.do_handshake)
                client.socket.sendall(client.made.read() + client.seal(b'get absent\r\n'))
                self.assertEqual(client.receive(5), b'END\r\n')

    def test_requests_with_the_end_of_the_handshake(self):
        """In one segment, and more than the listener reads at once; and nothing follows."""
        for version in VERSIONS:
            for count in (1, 1000, 30_000):
                client = RecordClient(self.server.address, client_context(self.ca, version), handshake=False)
                with client:
                    client.carry(client.tls.do_handshake)
                    finished = client.made.read()  # with TLS 1.3 the client's last message is still here
                    client.socket.sendall(finished + client.seal(b'get absent\r\n' * count))
                    client.socket.shutdown(socket.SHUT_WR)
                    self.assertEqual(client.receive(5 * count + 1), b'END\r\n' * count)


class Pymemcache(TlsTest):
    def setUp(self):
        super().setUp()
        self.client = pymemcache.Client(('localhost', self.server.port), timeout=60, connect_timeout=60,
                                        tls_context=client_context(self.ca))
        self.addCleanup(self.client.close)

    def test_store_and_fetch(self):
        client = self.client
        self.assertIsNone(client.get('absent'))
        self.assertTrue(client.set('k', b'v'))
        self.assertEqual(client.get('k'), b'v')
        self.assertTrue(client.set('large', LARGE, noreply=False))
        self.assertEqual(client.get('large'), LARGE)
        self.assertEqual(client.incr('absent', 1, noreply=False), None)

    def test_noreply_is_in_order(self):
        for i in range(1000):
            self.client.set('k', b'%d' % i, noreply=True)
        self.assertEqual(self.client.get('k'), b'999')

    def test_many(self):
        values = {f'key{i}': f'value{i}'.encode() * 100 for i in range(500)}
        self.assertEqual(self.client.set_many(values), [])
        self.assertEqual(self.client.get_many(list(values) + ['absent']), values)

    def test_reconnects(self):
        for i in range(20):
            self.client.set('n', b'%d' % i, noreply=False)
            self.client.close()
            self.assertEqual(self.client.get('n'), b'%d' % i)

    def test_verifies_the_server(self):
        stranger = pymemcache.Client(('localhost', self.server.port), timeout=60, connect_timeout=60,
                                     tls_context=ssl.create_default_context())
        with self.assertRaises(ssl.SSLCertVerificationError):
            stranger.get('k')


class NodeTls(TlsTest):
    @unittest.skipIf(IS_MEMCACHED, 'memcached resumes no sessions')
    def test_tls(self):
        self.succeed('node', HERE / 'clients/tls.js', self.host_port, self.ca.certificate)


if __name__ == '__main__':
    unittest.main()
