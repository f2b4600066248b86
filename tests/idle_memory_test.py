"""What an idle plain connection costs: the server's memory with many of them open, less its memory without.

    idle_memory_test.py PATH_TO_SERVER [CONNECTIONS] [BYTES_EACH_MAX]

Every connection sends one request and gets its reply, so that it has used its buffers before it falls idle.
"""
import resource
import socket
import sys

from harness import Server, rss_bytes


def main():
    binary = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else 1024
    ping = 'pingserver' in binary
    request, reply = (b'PING\r\n', b'PONG\r\n') if ping else (b'get a\r\n', b'END\r\n')
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < count + 200:
        raise SystemExit(f'the limit of open files is {hard}: {count} connections need {count + 200} (ulimit -n)')
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 200, hard))

    failed = False
    for engine in ('epoll', 'io_uring'):
        settings = [f'net.engine={engine}', f'server.max_connections={count + 100}']
        settings += [] if ping else ['seg.heap_size=64MB']
        with Server(binary, settings) as server:
            def open_one():
                client = socket.create_connection(server.address, timeout=20)
                client.sendall(request)
                assert client.recv(100) == reply
                return client

            warm = [open_one() for _ in range(100)]
            before = rss_bytes(server.pid)
            clients = [open_one() for _ in range(count)]
            each = (rss_bytes(server.pid) - before) / count
            print(f'{engine}: {count} idle connections cost {each:.0f} bytes each')
            failed = failed or each > limit
            for client in warm + clients:
                client.close()
    sys.exit(1 if failed else 0)


main()
