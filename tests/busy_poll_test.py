"""A server whose workers look for work before they sleep.

    busy_poll_test.py SEGCACHE

PELIKAN_SETTINGS says which engine and which shape of the threads.
"""
import socket
import sys
import time

from harness import Server, wait_until, worker_seconds

SEGCACHE = sys.argv[1]
PATIENCE = 60
CLIENTS, ROUNDS = 6, 50
IDLE_TURNS = 10  # of a worker that nothing wakes: a second
POLLING_S = 0.2  # of processor time: no worker that sleeps would use that in any time that a test may take
VALUE, VALUES, AT_ONCE = b'v' * 10_000, 6000, 50
HEAP = ['seg.heap_size=32MB', 'seg.segment_size=256KB']


def exchange(client, request, reply):
    client.sendall(request)
    received = b''
    while len(received) < len(reply):
        piece = client.recv(65536)
        assert piece, received
        received += piece
    assert received == reply, received


def talk(server):
    """One request at a time, on connections that all workers share."""
    clients = [socket.create_connection(server.address, PATIENCE) for _ in range(CLIENTS)]
    for i in range(ROUNDS):
        for number, client in enumerate(clients):
            exchange(client, b'set k%d 0 0 3\r\n%03d\r\n' % (number, i), b'STORED\r\n')
            exchange(client, b'get k%d\r\n' % number, b'VALUE k%d 0 3\r\n%03d\r\nEND\r\n' % (number, i))
    return clients


def overfill(server):
    """More than fits: segments must be taken from a storage that the other workers, which poll, may look at."""
    with socket.create_connection(server.address, PATIENCE) as client:
        for i in range(0, VALUES, AT_ONCE):
            sets = b''.join(b'set big%d 0 0 %d\r\n%s\r\n' % (j, len(VALUE), VALUE) for j in range(i, i + AT_ONCE))
            exchange(client, sets, b'STORED\r\n' * AT_ONCE)


def test_polling_for_ever():
    """Longer than worker.timeout: the workers never sleep."""
    with Server(SEGCACHE, [*HEAP, 'net.busy_poll=1s']) as server:
        clients = talk(server)
        overfill(server)
        before = worker_seconds(server.pid)
        wait_until(lambda: min(b - a for a, b in zip(before, worker_seconds(server.pid))) > POLLING_S,
                   'idle workers to use the processor')
        assert server.stats()['worker_poll_found'] > 0
        for client in clients:
            client.close()


def test_polling_for_a_while():
    with Server(SEGCACHE, [*HEAP, 'net.busy_poll=50us']) as server:
        talk(server)
        wait_until(lambda: server.stats()['worker_poll_missed'] > 0, 'a worker to sleep')
        polled, turns = server.stats()['worker_poll_idle_time'], server.stats()['worker_event_loop']
        wait_until(lambda: server.stats()['worker_event_loop'] > turns, 'a turn without requests')
        assert server.stats()['worker_poll_idle_time'] > polled


def test_not_polling():
    with Server(SEGCACHE, HEAP) as server:
        clients = talk(server)
        turns = server.stats()['worker_event_loop']
        began, before = time.monotonic(), worker_seconds(server.pid)
        wanted = turns + IDLE_TURNS * len(before)
        wait_until(lambda: server.stats()['worker_event_loop'] >= wanted, 'turns without requests')
        used, passed = max(b - a for a, b in zip(before, worker_seconds(server.pid))), time.monotonic() - began
        assert used < passed / 2, f'an idle worker used {used:.2f} s of {passed:.2f} s'
        for name in ('found', 'missed', 'idle_time'):
            assert server.stats()[f'worker_poll_{name}'] == 0, name
        for client in clients:
            client.close()


def main():
    for name, test in list(globals().items()):
        if name.startswith('test_'):
            test()
            print('passed', name)


main()
