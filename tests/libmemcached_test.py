"""The tools of libmemcached: its conformance suite (27 text tests) and each command-line client."""
import re
import tempfile
import unittest
from pathlib import Path

from harness import ServerTest, run


class Memccapable(ServerTest):
    def test_all_27_text_tests(self):
        output = self.succeed('memccapable', '-h', '127.0.0.1', '-p', self.server.port, '-a')
        self.assertEqual(len(re.findall(r'\[pass\]', output)), 27, output)
        self.assertNotIn('[FAIL]', output)


class Tools(ServerTest):
    """Files a, b and empty are stored under their names; the other tools then look at them."""

    FILES = {'a': b'first value\n', 'b': bytes(range(256)) * 20, 'empty': b''}

    def tool(self, name, *arguments):
        return self.succeed(name, f'--servers={self.host_port}', *arguments)

    def code(self, name, *arguments):
        return run(name, f'--servers={self.host_port}', *arguments)[0]

    def store_files(self, *options):
        with tempfile.TemporaryDirectory() as folder:
            for name, content in self.FILES.items():
                (Path(folder) / name).write_bytes(content)
            self.tool('memccp', *options, *(str(Path(folder) / name) for name in self.FILES))

    def test_memccp_and_memccat(self):
        self.store_files()
        for name, content in self.FILES.items():
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / 'copy'
                self.tool('memccat', f'--file={copy}', name)
                self.assertEqual(copy.read_bytes(), content)
        self.assertNotEqual(self.code('memccat', 'absent'), 0)

    def test_memccp_add_and_replace(self):
        self.store_files('--add')
        self.store_files('--replace', '--flags=7')
        self.assertIn('7', self.tool('memccat', '--flags', 'a'))

    def test_memcexist(self):
        self.store_files()
        self.assertEqual(self.code('memcexist', 'a'), 0)
        self.assertNotEqual(self.code('memcexist', 'absent'), 0)
        self.assertNotEqual(self.code('memcexist', 'absent'), 0)  # it asks by adding: that must leave nothing behind
        self.assertEqual(self.talk(b'get absent\r\n', 1), b'END\r\n')

    def test_memcrm(self):
        self.store_files()
        self.tool('memcrm', 'a', 'b')
        self.assertNotEqual(self.code('memcexist', 'a'), 0)
        self.assertEqual(self.code('memcexist', 'empty'), 0)

    def test_memctouch(self):
        self.store_files()
        self.assertEqual(self.code('memctouch', '--expire=100', 'a'), 0)
        self.assertNotEqual(self.code('memctouch', '--expire=100', 'absent'), 0)
        self.assertEqual(self.code('memcexist', 'a'), 0)

    def test_memcflush(self):
        self.store_files()
        self.tool('memcflush')
        self.assertNotEqual(self.code('memcexist', 'a'), 0)

    def test_memcdump_lists_every_key(self):
        self.store_files()
        self.assertEqual(sorted(self.tool('memcdump').split()), sorted(self.FILES))

    def test_memcstat(self):
        self.store_files()
        output = self.tool('memcstat')
        for name in ('pid', 'uptime', 'version', 'cmd_get', 'cmd_set', 'get_hits', 'limit_maxbytes', 'threads'):
            self.assertRegex(output, rf'\b{name}: \S+')
        self.assertRegex(output, r'curr_items: 3\b')

    def test_memcping(self):
        self.tool('memcping')


class Load(ServerTest):
    """Two load generators; the second compares every value that it gets."""

    def test_memcslap(self):
        for kind in ('set', 'get', 'mget'):
            output = self.succeed('memcslap', f'--servers={self.host_port}', f'--test={kind}', '--concurrency=3',
                                  '--execute-number=500', '--initial-load=500')
            self.assertNotRegex(output.lower(), r'fail|error')

    def test_memcaslap_verifies_every_value(self):
        output = self.succeed('memcaslap', f'--servers={self.host_port}', '--threads=1', '--concurrency=8',
                              '--execute_number=5000', '--win_size=1k', '--verify=1.0', '--fixed_size=200')
        self.assertRegex(output, r'Run time: .* Ops: 5000 ')
        self.assertRegex(output, r'verify_failed: 0\b')
        self.assertRegex(output, r'verify_misses: 0\b')


if __name__ == '__main__':
    unittest.main()
