"""How a server starts, says so, and ends.

    process_test.py FOLDER_OF_BINARIES
"""
import os
import select
import signal
import socket
import sys
import tempfile
import threading

from harness import Server, refused

PATIENCE = 20
BINARIES = sys.argv[1]
PING = os.path.join(BINARIES, 'pelikan-pingserver')
SEGCACHE = os.path.join(BINARIES, 'pelikan-segcache')


def connect(server):
    return socket.create_connection(server.address, timeout=PATIENCE)


def signal_to(server, number=signal.SIGTERM):
    server.signal(number)


def receive_all(client):
    data = b''
    while piece := client.recv(65536):  # a reset would raise: it is a failure
        data += piece
    return data


def test_bad_settings_name_the_fix(folder):
    for binary in (PING, SEGCACHE):
        refused(binary, ['--set', 'server.prot=1'], 'server.prot', 'server.port')
        refused(binary, ['--set', 'server.port=70000'], 'server.port', '65535')
        refused(binary, ['/nonexistent/file.toml'], '/nonexistent/file.toml')
        path = os.path.join(folder, 'bad.toml')
        with open(path, 'w', encoding='ascii') as file:
            file.write('[server]\nhost = "127.0.0.1"\n\n[wroker]\nthreads = 1\n')
        refused(binary, [path], 'bad.toml:', 'wroker', 'worker')
    refused(SEGCACHE, ['--set', 'seg.heap_size=1KB'], 'heap_size')
    refused(SEGCACHE, ['--set', 'net.busy_poll=1001ms'], 'net.busy_poll', '"50us"', '"1s"')
    small = ['--set', 'worker.threads=8', '--set', 'seg.heap_size=1MB', '--set', 'seg.segment_size=64KB']
    refused(SEGCACHE, [*small, '--set', 'storage.execution=shared'], 'storage.execution', '8 workers', 'seg.heap_size')


def test_port_in_use():
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        refused(PING, ['--set', f'server.port={port}', '--set', 'admin.port=0'], str(port), 'in use')
        refused(PING, ['--set', f'admin.port={port}', '--set', 'server.port=0'], str(port), 'in use')


def test_drain_answers_what_arrived():
    for engine in ('epoll', 'io_uring'):
        server = Server(PING, [f'net.engine={engine}'])
        server.__enter__()
        clients = [connect(server) for _ in range(20)]
        for client in clients:
            client.sendall(b'PING\r\n')
            assert client.recv(6) == b'PONG\r\n'
        for client in clients:
            client.sendall(b'PING\r\n' * 1000)
        signal_to(server)
        for client in clients:
            replies = receive_all(client)
            assert replies == b'PONG\r\n' * 1000, len(replies)
            client.close()
        assert server.wait() == 0


def deaf_client(server):
    """Never reads, and sends until the server has stopped reading from it: nothing was taken for a second."""
    deaf = connect(server)
    deaf.setblocking(False)
    while select.select([], [deaf], [], 1)[1]:
        try:
            deaf.send(b'PING\r\n' * 10_000)
        except BlockingIOError:
            pass
    return deaf


def test_second_signal_exits_at_once():
    server = Server(PING, ['server.drain_timeout=60s']).__enter__()
    deaf = deaf_client(server)
    signal_to(server)
    server.wait_for_output('stopping')
    signal_to(server)
    assert server.wait() == 130
    deaf.close()


def test_drain_has_a_deadline():
    with Server(PING, ['server.drain_timeout=200ms']) as server:
        deaf = deaf_client(server)
        signal_to(server)
        server.wait_for_output('drain_timeout passed')
        deaf.close()


def test_service_manager_is_told(folder):
    path = os.path.join(folder, 'notify.sock')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(PATIENCE)
        with Server(PING, environment={'NOTIFY_SOCKET': path}) as server:
            assert manager.recv(100) == b'READY=1'
            signal_to(server)
            assert manager.recv(100) == b'STOPPING=1'


def test_hangup_reopens_the_log(folder):
    log, moved = os.path.join(folder, 'server.log'), os.path.join(folder, 'server.log.1')
    with Server(PING, [f'debug.log_file={log}']) as server:
        os.rename(log, moved)
        signal_to(server, signal.SIGHUP)
        deadline = threading.Event()
        for _ in range(PATIENCE * 20):
            if os.path.exists(log):
                break
            deadline.wait(0.05)  # the only way to see another process's file appear
        assert os.path.exists(log)


def test_unix_socket_leaves_with_the_server(folder):
    path = os.path.join(folder, 'ping.sock')
    for _ in range(2):
        with Server(PING, [f'server.unix_socket={path}']):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(path)
                client.sendall(b'PING\r\n')
                assert client.recv(6) == b'PONG\r\n'
        assert not os.path.exists(path)


def test_a_successor_keeps_its_unix_socket(folder):
    path = os.path.join(folder, 'successor.sock')
    first = Server(PING, [f'server.unix_socket={path}', 'server.drain_timeout=60s']).__enter__()
    deaf = deaf_client(first)
    signal_to(first)
    first.wait_for_output('stopping')
    while os.path.exists(path):
        threading.Event().wait(0.01)
    with Server(PING, [f'server.unix_socket={path}']):
        deaf.close()
        assert first.wait() == 0
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)


def test_connections_over_the_limit_are_told():
    with Server(SEGCACHE, ['server.max_connections=3', 'seg.heap_size=16MB']) as server:
        inside = [connect(server) for _ in range(3)]
        for client in inside:
            client.sendall(b'get a\r\n')
            assert client.recv(5) == b'END\r\n'
        assert receive_all(connect(server)) == b'ERROR Too many open connections\r\n'
        inside.pop().close()
        for _ in range(1000):
            client = connect(server)
            client.sendall(b'get a\r\n')
            if client.recv(100) == b'END\r\n':
                break
        else:
            raise AssertionError('a freed place was not given again')


def main():
    with tempfile.TemporaryDirectory() as folder:
        for name, test in list(globals().items()):
            if not name.startswith('test_'):
                continue
            test(*([folder] if test.__code__.co_argcount else []))
            print('passed', name)


main()
