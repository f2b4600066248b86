"""Clients that are not written in Python: each is a small program that checks its own answers and exits with 0."""
import unittest
from pathlib import Path

from harness import ServerTest

HERE = Path(__file__).parent


class Perl(ServerTest):
    def test_cache_memcached_fast(self):
        self.succeed('/usr/bin/perl', HERE / 'clients/cache_memcached_fast.pl', self.host_port)


class Node(ServerTest):
    def test_memcached(self):
        self.succeed('node', HERE / 'clients/memcached.js', self.host_port)

    def test_memcache_plus(self):
        self.succeed('node', HERE / 'clients/memcache_plus.js', self.host_port)


if __name__ == '__main__':
    unittest.main()
