"""What an idle connection costs: the server's memory with many of them open, less its memory without.

    idle_memory_test.py PATH_TO_SERVER [plain|tls|mtls] [CONNECTIONS] [BYTES_EACH_MAX]

Every connection sends one request and gets its reply, so that it has used its buffers before it falls idle. A session
of TLS gives its record buffers back when it was idle for some seconds: the memory is read when it has stopped falling.
"""
import resource
import socket
import sys
import tempfile
import threading
import time

from harness import Server, rss_bytes
from pki import Pki
from tls_kit import PATIENCE, SERVER_NAMES, VERSIONS, client_context, connect, tls_settings

CONNECTIONS = {'plain': 10_000, 'tls': 5_000, 'mtls': 5_000}
BYTES_EACH_MAX = {'plain': 1024, 'tls': 16 * 1024, 'mtls': 16 * 1024}
WARM = 100
QUIET_S, SETTLE_MAX_S = 6.5, 60  # longer than a session must be idle before its buffers go


def settled_rss_bytes(server):
    """When it has not become less for QUIET_S."""
    least, since, pause = rss_bytes(server.pid), time.monotonic(), threading.Event()
    deadline = since + SETTLE_MAX_S
    while time.monotonic() - since < QUIET_S and time.monotonic() < deadline:
        pause.wait(0.25)
        if (now := rss_bytes(server.pid)) < least:
            least, since = now, time.monotonic()
    return least


def measure(server, count, request, reply, context):
    def open_one():
        client = connect(server.address, context) if context else socket.create_connection(server.address, PATIENCE)
        client.sendall(request)
        assert client.recv(100) == reply
        return client

    read = settled_rss_bytes if context else lambda server: rss_bytes(server.pid)
    warm = [open_one() for _ in range(WARM)]
    before = read(server)
    clients = [open_one() for _ in range(count)]
    at_once = rss_bytes(server.pid)
    each = (read(server) - before) / count
    for client in warm + clients:
        client.close()
    return each, (at_once - before) / count


def main():
    binary, transport = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else 'plain'
    count = int(sys.argv[3]) if len(sys.argv) > 3 else CONNECTIONS[transport]
    limit = int(sys.argv[4]) if len(sys.argv) > 4 else BYTES_EACH_MAX[transport]
    ping = 'pingserver' in binary
    request, reply = (b'PING\r\n', b'PONG\r\n') if ping else (b'get a\r\n', b'END\r\n')
    needed, hard = count + WARM + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise SystemExit(f'the limit of open files is {hard}: {count} connections need {needed} (ulimit -n)')
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))

    failed = False
    with tempfile.TemporaryDirectory() as folder:
        pki = Pki(folder)
        ca = pki.ca('ca')
        pair = pki.leaf(ca, 'server', san=SERVER_NAMES)
        identity = pki.leaf(ca, 'web', san=['URI:spiffe://prod/ns/default/sa/web']) if transport == 'mtls' else None
        for version in (None,) if transport == 'plain' else VERSIONS:
            settings = [f'server.max_connections={count + WARM}', 'server.drain_timeout=0ms']
            settings += tls_settings(pair) if version else []
            settings += [f'tls.ca_file={ca.certificate}'] if identity else []
            settings += [] if ping else ['seg.heap_size=32MB']  # none of which is made ready meanwhile
            with Server(binary, settings) as server:
                each, at_once = measure(server, count, request, reply,
                                        version and client_context(ca, version, identity))
                print(f'{version or "plain text"}: {count} idle connections cost {each:.0f} bytes each'
                      + (f', {at_once:.0f} when the last had come' if version else ''))
                failed = failed or each > limit
    sys.exit(1 if failed else 0)


main()
