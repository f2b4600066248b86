"""What monitoring asks for: the requests of the Prometheus memcached exporter, read by its rules."""
import re
import unittest

from harness import ServerTest

EXPORTED = '''
    uptime time version rusage_user rusage_system bytes limit_maxbytes curr_items total_items bytes_read bytes_written
    curr_connections total_connections conn_yields listen_disabled_num evictions reclaimed
    get_hits get_misses delete_hits delete_misses incr_hits incr_misses decr_hits decr_misses cas_hits cas_misses
    cas_badval touch_hits touch_misses cmd_get cmd_set cmd_flush cmd_touch accepting_conns threads
'''.split()
EXPORTED_SLABS = '''
    chunk_size chunks_per_page total_pages total_chunks used_chunks free_chunks free_chunks_end
    get_hits cmd_set delete_hits incr_hits decr_hits cas_hits cas_badval touch_hits
'''.split()
EXPORTED_ITEMS = 'number age evicted outofmemory tailrepairs reclaimed'.split()


class Exporter(ServerTest):
    """Two connections: `stats`, `stats slabs`, `stats items` on one, then `stats settings` on another.

    A reply ends with END and nothing else. A name with one colon has a number before it, with two a number in the
    middle; a settings line splits into three or four fields: one breach, and the exporter drops the whole scrape.
    """

    def setUp(self):
        super().setUp()
        self.assertEqual(self.talk(b'set k 0 0 5\r\nvalue\r\nget k\r\nget absent\r\nincr k 1\r\n', 6).count(b'\r\n'), 6)

    def stats(self, *commands):
        """The lines of each reply, all on one connection."""
        replies = []
        with self.connect() as connection, connection.makefile('rb') as stream:
            for command in commands:
                connection.sendall(command + b'\r\n')
                lines = []
                while (line := stream.readline()) != b'END\r\n':
                    self.assertTrue(line.endswith(b'\r\n') and line.startswith(b'STAT '), (command, line))
                    lines.append(line.decode().removesuffix('\r\n'))
                replies.append(lines)
        return replies

    def named(self, lines):
        """name -> value of the lines that the exporter looks at; checks the colons."""
        found = {}
        for line in lines:
            fields = line.split(' ')
            if len(fields) != 3:
                continue
            parts = fields[1].split(':')
            if len(parts) == 2:
                self.assertTrue(parts[0].isdigit(), line)
            elif len(parts) == 3:
                self.assertTrue(parts[1].isdigit(), line)
            found[fields[1]] = fields[2]
        return found

    def test_one_scrape(self):
        general, slabs, items = (self.named(lines) for lines in self.stats(b'stats', b'stats slabs', b'stats items'))
        self.assertEqual([name for name in EXPORTED if name not in general], [])
        for name in ('rusage_user', 'rusage_system'):
            self.assertRegex(general[name], r'^\d+\.\d+$')
        numbers = [name for name in EXPORTED if not name.startswith(('version', 'rusage'))]
        self.assertEqual([name for name in numbers if not general[name].isdigit()], [])
        self.assertGreaterEqual(int(general['get_hits']), 1)
        self.assertGreaterEqual(int(general['get_misses']), 1)
        self.assertEqual(general['curr_items'], '1')

        self.assertIn('total_malloced', slabs)
        self.assertIn('active_slabs', slabs)
        number = next(name.split(':')[0] for name in slabs if ':' in name)
        self.assertEqual([name for name in EXPORTED_SLABS if f'{number}:{name}' not in slabs], [])
        number = next(name.split(':')[1] for name in items if name.count(':') == 2)
        self.assertEqual([name for name in EXPORTED_ITEMS if f'items:{number}:{name}' not in items], [])

    def test_settings(self):
        settings, = self.stats(b'stats settings')
        for line in settings:
            fields = line.split(' ')
            self.assertIn(len(fields), (3, 4), line)
        names = {line.split(' ')[1]: line.split(' ')[2] for line in settings}
        for name in ('maxbytes', 'maxconns', 'tcpport', 'verbosity', 'num_threads', 'item_size_max', 'cas_enabled',
                     'lru_crawler'):
            self.assertIn(name, names)
        self.assertTrue(names['maxconns'].isdigit())

    def test_reset_and_unknown(self):
        self.assertEqual(self.talk(b'stats reset\r\n', 1), b'RESET\r\n')
        general, = self.stats(b'stats')
        self.assertEqual(self.named(general)['get_hits'], '0')
        self.assertTrue(re.fullmatch(rb'ERROR\r\n', self.talk(b'stats nothing_of_the_kind\r\n', 1)))


if __name__ == '__main__':
    unittest.main()
