"""What a hostile or broken client sends never crashes, hangs or bloats the server, and costs the other clients nothing.

    hostile_test.py PATH_TO_pelikan-segcache

Each abuse is run several times on both engines, over TCP and the unix socket. A canary connection, open all the time,
must get its answers after every one of them, and the server's memory must end where it began.
"""
import os
import random
import socket
import sys
import tempfile
import threading

from harness import Server, rss_bytes, wait_until

PATIENCE = 20
ROUNDS = 3
RSS_GROWTH_MAX = 24 << 20


class Client:
    def __init__(self, address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server may end the session while we are still sending

    def receive(self, count):
        data = b''
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                break
            data += piece
        return data

    def receive_all(self):
        data = b''
        try:
            while piece := self.socket.recv(65536):
                data += piece
        except ConnectionResetError:
            pass
        return data

    def finish(self):
        self.socket.shutdown(socket.SHUT_WR)

    def close(self):
        self.socket.close()


def expect(name, got, wanted):
    if got != wanted:
        raise AssertionError(f'{name}: got {got[:200]!r}, wanted {wanted[:200]!r}')


def exchange(address, request, reply):
    """Sends, half-closes, and wants exactly this reply and a clean end."""
    client = Client(address)
    client.send(request)
    client.finish()
    expect(repr(request[:80]), client.receive_all(), reply)
    client.close()


ALIVE = b'VALUE canary 7 5\r\nalive\r\nEND\r\n'
BAD_LINE = b'CLIENT_ERROR bad command line format\r\n'
TOO_LARGE = b'SERVER_ERROR object too large for cache\r\n'
NOT_A_NUMBER = b'CLIENT_ERROR invalid numeric delta argument\r\n'


def bad_numbers(address):
    exchange(address, b'set a 0 0 -1\r\nversion_x\r\n', BAD_LINE + b'ERROR\r\n')
    exchange(address, b'set a 0 0 99999999999999999999\r\n', BAD_LINE)
    exchange(address, b'set a -1 0 1\r\nx\r\n', BAD_LINE)
    exchange(address, b'set a 0 x 1\r\nx\r\n', BAD_LINE)
    exchange(address, b'incr a -1\r\n', NOT_A_NUMBER)
    exchange(address, b'incr a 18446744073709551616\r\n', NOT_A_NUMBER)
    exchange(address, b'touch a 1x\r\n', b'CLIENT_ERROR invalid exptime argument\r\n')


def long_keys(address):
    key = b'k' * 251
    exchange(address, b'get ' + key + b'\r\n', BAD_LINE)
    exchange(address, b'get a ' + key + b' b\r\n', BAD_LINE)
    exchange(address, b'set ' + key + b' 0 0 3\r\nabc\r\nget nothing\r\n', BAD_LINE + b'END\r\n')
    exchange(address, b'delete ' + key + b'\r\n', BAD_LINE)


def unterminated_line(address):
    for start in (b'', b'set ', b'x' * 10, b'gat '):
        client = Client(address)
        client.send(start + b'y' * 1_000_000)
        expect('an endless line', client.receive_all(), b'')
        client.close()
    client = Client(address)
    client.send(b'get ' + b'a ' * 1_000_000)  # a get may be long, but not endless
    expect('an endless get', client.receive_all(), b'')
    client.close()


def huge_length(address):
    client = Client(address)
    client.send(b'set a 0 0 1000000000\r\n')
    expect('a length of 1 GB', client.receive(len(TOO_LARGE)), TOO_LARGE)
    for _ in range(20):
        client.send(b'z' * 1_000_000)  # swallowed, not kept
    client.close()
    exchange(address, b'set a 0 0 20000000\r\n' + b'z' * 20_000_000 + b'\r\nget a\r\n', TOO_LARGE + b'END\r\n')


def binary_noise(address):
    for seed in range(20):
        noise = random.Random(seed).randbytes(20_000)
        client = Client(address)
        client.send(noise)
        client.finish()
        client.receive_all()
        client.close()
    client = Client(address)
    client.send(b'\x80' + bytes(23))
    reply = client.receive_all()
    if len(reply) < 24 or reply[0] != 0x81:
        raise AssertionError(f'binary protocol: {reply!r}')
    client.close()


def many_commands_at_once(address):
    client = Client(address)
    count = 100_000
    threading.Thread(target=client.send, args=(b'get a\r\n' * count,), daemon=True).start()
    expect('100,000 commands', client.receive(5 * count), b'END\r\n' * count)
    client.close()


def never_reads(address):
    feeder = Client(address)
    feeder.send(b'set big 0 0 200000\r\n' + b'v' * 200_000 + b'\r\n')
    expect('set', feeder.receive(8), b'STORED\r\n')
    feeder.close()
    deaf = [Client(address) for _ in range(20)]
    for client in deaf:
        client.socket.setblocking(False)
        try:
            while True:
                client.socket.send(b'get big\r\n' * 1000)
        except BlockingIOError:
            pass
    for client in deaf:
        client.close()


def never_writes(address):
    silent = [Client(address) for _ in range(200)]
    for client in silent:
        client.close()


def closes_in_mid_value(address):
    for sent in (0, 1, 100, 65_536, 99_999):
        client = Client(address)
        client.send(b'set mid 0 0 100000\r\n' + b'm' * sent)
        client.close()
    exchange(address, b'get mid\r\n', b'END\r\n')


ABUSES = (bad_numbers, long_keys, unterminated_line, huge_length, binary_noise, many_commands_at_once, never_reads,
          never_writes, closes_in_mid_value)


def check(binary, engine, unix_path):
    with Server(binary, [f'net.engine={engine}', f'server.unix_socket={unix_path}', 'seg.heap_size=64MB']) as server:
        tcp = server.address
        canary = Client(tcp)
        canary.send(b'set canary 7 0 5\r\nalive\r\n')
        expect('canary', canary.receive(8), b'STORED\r\n')
        before = None
        for _ in range(ROUNDS):
            for abuse in ABUSES:
                for address in (tcp, unix_path):
                    abuse(address)
                    canary.send(b'get canary\r\n')
                    expect(f'canary after {abuse.__name__} ({engine})', canary.receive(len(ALIVE)), ALIVE)
            before = before or rss_bytes(server.pid)
        # What other workers hold for clients that have just left, they give back in their own time.
        wait_until(lambda: rss_bytes(server.pid) - before <= RSS_GROWTH_MAX, 'the memory to be what it was')
        growth = rss_bytes(server.pid) - before
        print(f'{engine}: {ROUNDS} rounds of {len(ABUSES)} abuses, memory grew by {growth / 1e6:.1f} MB')


def main():
    with tempfile.TemporaryDirectory() as folder:
        for engine in ('epoll', 'io_uring'):
            check(sys.argv[1], engine, os.path.join(folder, 'hostile.sock'))


main()
