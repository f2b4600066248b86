"""What the tests over TLS share: clients that verify the server, and one that holds its ciphertext in its own hands.

    context = client_context(ca, 'TLSv1_3', identity)
    with connect(server.address, context) as connection: ...          # an ordinary ssl.SSLSocket
    client = RecordClient(server.address, context)                    # says which bytes are sent, when, in which pieces
"""
import ctypes
import socket
import ssl
import struct

PATIENCE = 60
VERSIONS = ('TLSv1_2', 'TLSv1_3')
SERVER_NAMES = ('DNS:localhost', 'IP:127.0.0.1')


def client_context(ca, version=None, identity=None):
    """Trusts `ca` alone; speaks one version, or both; shows the certificate of `identity`, a Pair of files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca.certificate)
    if version:
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    if identity:
        context.load_cert_chain(identity.certificate, identity.key)
    return context


def connect(address, context, session=None):
    """Its recv() returns b'' only when the server says that it has finished; a bare FIN raises."""
    plain = socket.create_connection(address, PATIENCE)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return context.wrap_socket(plain, server_hostname='localhost', session=session, suppress_ragged_eofs=False)
    except Exception:
        plain.close()
        raise


def receive(connection, count):
    """That many bytes; fewer when the server ends before."""
    data = bytearray()
    while len(data) < count and (piece := connection.recv(min(count - len(data), 1 << 20))):
        data += piece
    return bytes(data)


def tls_settings(pair, *more):
    """The listener's thread has a low priority: on a machine that is busy otherwise a handshake takes long."""
    return [f'tls.certificate={pair.certificate}', f'tls.private_key={pair.key}',
            f'listener.handshake_timeout={PATIENCE}s', *more]


class RecordClient:
    """A client whose records are made in memory."""

    def __init__(self, address, context, handshake=True):
        self.arrived, self.made = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.arrived, self.made, server_hostname='localhost')
        self.socket = socket.create_connection(address, PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if handshake:
            self.carry(self.tls.do_handshake)
            self.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def hello(self):
        """The first bytes of a handshake, not sent."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        return self.made.read()

    def seal(self, data):
        """The records that carry the data, not sent."""
        self.tls.write(data)
        return self.made.read()

    def goodbye(self):
        """The record that says that nothing more comes (close_notify), not sent."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        return self.made.read()

    def flush(self):
        if data := self.made.read():
            self.socket.sendall(data)

    def receive(self, count):
        """That many bytes of plain text; fewer when the server says before that it has finished."""
        data = b''
        try:
            while len(data) < count and (piece := self.carry(lambda: self.tls.read(count - len(data)))):
                data += piece
        except ssl.SSLZeroReturnError:
            pass
        return data

    def carry(self, call):
        """Calls until it needs no more bytes from the server."""
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                self.flush()
                if data := self.socket.recv(65536):
                    self.arrived.write(data)
                else:
                    self.arrived.write_eof()


class KeyUpdater:
    """Python's ssl cannot ask for a KeyUpdate; the library beneath it can."""

    def __init__(self, address):
        self.lib = lib = ctypes.CDLL('libssl.so.3')
        for name in ('TLS_client_method', 'SSL_CTX_new', 'SSL_new'):
            getattr(lib, name).restype = ctypes.c_void_p
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', PATIENCE, 0))
        self.context = ctypes.c_void_p(lib.SSL_CTX_new(ctypes.c_void_p(lib.TLS_client_method())))
        self.ssl = ctypes.c_void_p(lib.SSL_new(self.context))
        assert lib.SSL_set_fd(self.ssl, self.socket.fileno()) == 1
        assert lib.SSL_connect(self.ssl) == 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lib.SSL_free(self.ssl)
        self.lib.SSL_CTX_free(self.context)
        self.socket.close()

    def update(self):
        """False when the connection has ended."""
        update_requested = 1
        return self.lib.SSL_key_update(self.ssl, update_requested) == 1 and self.lib.SSL_do_handshake(self.ssl) == 1

    def ask(self, request, count):
        assert self.lib.SSL_write(self.ssl, request, len(request)) == len(request)
        reply, buffer = b'', ctypes.create_string_buffer(count)
        while len(reply) < count and (got := self.lib.SSL_read(self.ssl, buffer, count - len(reply))) > 0:
            reply += buffer.raw[:got]
        return reply
