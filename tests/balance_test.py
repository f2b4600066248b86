"""All busy sessions begin on one of two workers: in five seconds both do the same, and no reply is out of order.

    balance_test.py FOLDER_OF_BINARIES

Sessions are dealt out by turns, so every second one stays idle. Load is the processor time of the workers' threads.
Clients compete with the server for the processors, so a window of two seconds counts in which the loads differ by less
than 20 %, if it begins within five seconds.
"""
import os
import socket
import sys
import tempfile
import threading
import time

from harness import Server, wait_until, worker_seconds
from load_kit import Load
from pki import Pki
from tls_kit import PATIENCE, SERVER_NAMES, client_context, connect, receive, tls_settings

BINARIES = sys.argv[1]
DRIVERS, SESSIONS_EACH, PIPELINE = 2, 20, 100
WITHIN_S, WINDOW_S, STEP_S = 5, 2, 0.25
BUSY_S = 0.02  # of processor time: a worker whose clients have begun
DIFFERENCE_MAX = 0.2
STUBBORN_S = 3  # of processor time: six looks of a balancer at a worker that is busy alone


class Ping:
    binary, settings = 'pelikan-pingserver', []
    request = b'PING\r\n' * PIPELINE

    @staticmethod
    def introduce(number):
        return b'PING\r\n', b'PONG\r\n'

    @staticmethod
    def requests(number):
        return Ping.request

    @staticmethod
    def replies(done):
        return b'PONG\r\n' * PIPELINE


class Segcache:
    """Each reply is one more than the one before it."""
    binary, settings = 'pelikan-segcache', ['seg.heap_size=16MB']

    @staticmethod
    def introduce(number):
        return b'set k%d 0 0 1\r\n0\r\n' % number, b'STORED\r\n'

    @staticmethod
    def requests(number):
        return b'incr k%d 1\r\n' % number * PIPELINE

    @staticmethod
    def replies(done):
        return b''.join(b'%d\r\n' % i for i in range(done + 1, done + PIPELINE + 1))


def drive(kind, sessions):
    """Keeps a pipeline under way on each session; the replies so far. Runs in a process."""
    done = dict.fromkeys(sessions, 0)
    while True:
        for number, session in sessions.items():
            session.sendall(kind.requests(number))
        for number, session in sessions.items():
            wanted = kind.replies(done[number])
            replies = receive(session, len(wanted))
            if replies != wanted:
                at = next(i for i, pair in enumerate(zip(replies + b'|', wanted)) if pair[0] != pair[1])
                raise AssertionError(f'session {number}: ...{replies[at - 40:at + 40]!r}, '
                                     f'wanted ...{wanted[at - 40:at + 40]!r}')
            done[number] += PIPELINE
        yield sum(done.values())


def drivers_of(kind, sessions):
    return Load(drive, [(kind, dict(list(sessions.items())[i::DRIVERS])) for i in range(DRIVERS)])


def difference(before, after):
    """Of the loads, as a share of the greater."""
    used = [b - a for a, b in zip(before, after)]
    return (max(used) - min(used)) / max(used)


def open_sessions(server, kind, context):
    """The busy ones, by number; and all, so that the idle ones stay open."""
    busy, everyone = {}, []
    for number in range(2 * DRIVERS * SESSIONS_EACH):
        session = connect(server.address, context) if context else socket.create_connection(server.address, PATIENCE)
        request, reply = kind.introduce(number)
        session.sendall(request)
        assert receive(session, len(reply)) == reply
        everyone.append(session)
        if number % 2 == 0:
            busy[number] = session
    return busy, everyone


def watch(server):
    """When the loads had become equal, and how they were at first and then."""
    pause, samples = threading.Event(), [(time.monotonic(), worker_seconds(server.pid))]
    window = round(WINDOW_S / STEP_S)
    at_first = None
    while samples[-1][0] - samples[0][0] < WITHIN_S + WINDOW_S:
        pause.wait(STEP_S)
        samples.append((time.monotonic(), worker_seconds(server.pid)))
        if at_first is None and max(b - a for a, b in zip(samples[0][1], samples[-1][1])) > BUSY_S:
            at_first = difference(samples[0][1], samples[-1][1])  # the clients have begun
        if len(samples) <= window:
            continue
        unequal = difference(samples[-1 - window][1], samples[-1][1])
        if unequal < DIFFERENCE_MAX:
            return samples[-1 - window][0] - samples[0][0], at_first, unequal
    raise AssertionError(f'the loads still differ by {unequal:.0%}, and {server.stats()["worker_session_moved"]} '
                         f'sessions have moved')


def check_balance(kind, context, settings):
    with Server(os.path.join(BINARIES, kind.binary), ['worker.threads=2', *kind.settings, *settings]) as server:
        busy, everyone = open_sessions(server, kind, context)
        with drivers_of(kind, busy) as drivers:
            after, at_first, unequal = watch(server)
        moved = server.stats()['worker_session_moved']
        print(f'{kind.__name__}, {"TLS" if context else "plain text"}: loads differed by {at_first:.0%} at first, by '
              f'{unequal:.1%} in two seconds from {after:.1f} s; {moved} of {len(everyone)} sessions moved, '
              f'{sum(drivers.done)} replies in order')
        assert at_first > 0.5, f'the workers were not that different at first: {at_first}'
        assert moved > 0
        for session in everyone:
            session.close()


def check_switched_off(kind):
    settings = ['worker.threads=2', 'worker.rebalance_moves=0', *kind.settings]
    with Server(os.path.join(BINARIES, kind.binary), settings) as server:
        busy, everyone = open_sessions(server, kind, None)
        with drivers_of(kind, busy):
            before = worker_seconds(server.pid)
            wait_until(lambda: max(worker_seconds(server.pid)) - max(before) >= STUBBORN_S, 'a busy worker')
            unequal = difference(before, worker_seconds(server.pid))
        assert server.stats()['worker_session_moved'] == 0
        assert unequal > 0.5, unequal
        print(f'switched off: loads differ by {unequal:.0%} after {STUBBORN_S} s of work')
        for session in everyone:
            session.close()


def main():
    with tempfile.TemporaryDirectory() as folder:
        pki = Pki(folder)
        ca = pki.ca('ca')
        pair = pki.leaf(ca, 'server', san=SERVER_NAMES)
        for kind in (Ping, Segcache):
            check_balance(kind, None, [])
        check_balance(Segcache, client_context(ca, 'TLSv1_3'), tls_settings(pair))
        check_switched_off(Ping)


if __name__ == '__main__':
    main()
