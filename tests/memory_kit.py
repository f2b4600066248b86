"""What the tests of memory share: reading `stats memory`, and filling a cache."""
import re


def ask(client, command):
    """The STAT lines of an answer, as numbers by name."""
    client.sendall(command)
    received = b''
    while not received.endswith(b'END\r\n'):
        received += client.recv(65536)
    return {name: int(value) for name, value in re.findall(r'STAT (\w+) (\d+)\r\n', received.decode())}


def fill(client, megabytes, value_bytes):
    """So many megabytes of items."""
    value = b'v' * value_bytes
    count = megabytes * 2**20 // (value_bytes + 24)
    for begin in range(0, count, 10_000):
        client.sendall(b''.join(b'set key%012d 0 0 %d noreply\r\n%s\r\n' % (i, value_bytes, value)
                                for i in range(begin, min(begin + 10_000, count))))
    client.sendall(b'version\r\n')
    while not client.recv(1000).endswith(b'\r\n'):
        pass
