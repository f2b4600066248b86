"""Three Python clients, each with what it is known for on the wire."""
import unittest

import memcache
import pylibmc
import pymemcache
from harness import ServerTest

LARGE = bytes(range(256)) * 3000  # 768,000 bytes


class Pymemcache(ServerTest):
    """Sends noreply by default and pipelines it with what follows."""

    def setUp(self):
        super().setUp()
        self.client = pymemcache.Client(('127.0.0.1', self.server.port), timeout=30)
        self.addCleanup(self.client.close)

    def test_store_and_fetch(self):
        client = self.client
        self.assertIsNone(client.get('absent'))
        self.assertTrue(client.set('k', b'v'))
        self.assertEqual(client.get('k'), b'v')
        self.assertTrue(client.set('large', LARGE, noreply=False))
        self.assertEqual(client.get('large'), LARGE)
        self.assertFalse(client.add('k', b'other', noreply=False))
        self.assertTrue(client.replace('k', b'new', noreply=False))
        self.assertFalse(client.replace('absent', b'new', noreply=False))
        self.assertTrue(client.append('k', b'!', noreply=False))
        self.assertTrue(client.prepend('k', b'?', noreply=False))
        self.assertEqual(client.get('k'), b'?new!')

    def test_many(self):
        values = {f'key{i}': f'value{i}'.encode() for i in range(500)}
        self.assertEqual(self.client.set_many(values), [])
        self.assertEqual(self.client.get_many(list(values) + ['absent']), values)
        self.assertEqual(len(self.client.gets_many(list(values))), len(values))
        self.client.delete_many(list(values))
        self.assertEqual(self.client.get_many(list(values)), {})

    def test_cas(self):
        self.client.set('k', b'1', noreply=False)
        value, token = self.client.gets('k')
        self.assertEqual(value, b'1')
        self.assertTrue(self.client.cas('k', b'2', token))
        self.assertFalse(self.client.cas('k', b'3', token))
        self.assertIsNone(self.client.cas('absent', b'3', token))

    def test_numbers_touch_delete(self):
        client = self.client
        client.set('n', b'10', noreply=False)
        self.assertEqual(client.incr('n', 5, noreply=False), 15)
        self.assertEqual(client.decr('n', 20, noreply=False), 0)
        self.assertIsNone(client.incr('absent', 1, noreply=False))
        self.assertTrue(client.touch('n', 100, noreply=False))
        self.assertFalse(client.touch('absent', 100, noreply=False))
        self.assertTrue(client.delete('n', noreply=False))
        self.assertFalse(client.delete('n', noreply=False))
        client.set('n', b'x', noreply=False)
        with self.assertRaises(pymemcache.MemcacheClientError):
            client.incr('n', 1, noreply=False)

    def test_administration(self):
        self.client.set('k', b'v', noreply=False)
        self.assertEqual(self.client.stats()[b'curr_items'], 1)
        self.assertRegex(self.client.version(), rb'^\d+\.\d+')
        self.assertTrue(self.client.flush_all(noreply=False))
        self.assertIsNone(self.client.get('k'))
        self.client.quit()


class Pylibmc(ServerTest):
    """libmemcached underneath; numbers and objects travel with flags."""

    def setUp(self):
        super().setUp()
        self.client = pylibmc.Client([self.host_port], behaviors={'cas': True, 'tcp_nodelay': True})
        self.addCleanup(self.client.disconnect_all)

    def test_store_and_fetch(self):
        client = self.client
        for key, value in (('text', 'grüße'), ('bytes', b'\0\r\n'), ('number', 42), ('object', {'a': [1, 2]}),
                           ('yes', True), ('large', LARGE)):
            self.assertTrue(client.set(key, value))
            self.assertEqual(client.get(key), value)
        self.assertIsNone(client.get('absent'))
        self.assertFalse(client.add('number', 1))
        self.assertTrue(client.replace('number', 1))
        self.assertTrue(client.delete('number'))
        self.assertFalse(client.delete('number'))

    def test_many(self):
        values = {f'key{i}': i for i in range(300)}
        self.assertEqual(self.client.set_multi(values), [])
        self.assertEqual(self.client.get_multi(list(values) + ['absent']), values)
        self.assertTrue(self.client.delete_multi(list(values)))

    def test_cas_and_numbers(self):
        self.client.set('k', 'a')
        _, token = self.client.gets('k')
        self.assertTrue(self.client.cas('k', 'b', token))
        self.assertFalse(self.client.cas('k', 'c', token))
        self.client.set('n', 1)
        self.assertEqual(self.client.incr('n', 41), 42)
        self.assertEqual(self.client.decr('n'), 41)
        with self.assertRaises(pylibmc.NotFound):
            self.client.incr('absent')
        self.assertTrue(self.client.touch('n', 100))

    def test_administration(self):
        (_, stats), = self.client.get_stats()
        self.assertIn('curr_connections', stats)
        self.assertTrue(self.client.flush_all())


class PythonMemcache(ServerTest):
    """Sends a blank at the end of its lines."""

    def setUp(self):
        super().setUp()
        self.client = memcache.Client([self.host_port], cache_cas=True, socket_timeout=30)
        self.addCleanup(self.client.disconnect_all)

    def test_store_and_fetch(self):
        client = self.client
        for key, value in (('text', 'grüße'), ('number', 7), ('object', [1, 'a']), ('bytes', b'\0\r\n')):
            self.assertTrue(client.set(key, value))
            self.assertEqual(client.get(key), value)
        self.assertFalse(client.add('text', 'x'))
        self.assertTrue(client.add('fresh', 'x', time=100))
        self.assertTrue(client.replace('text', 'y'))
        self.assertTrue(client.append('text', '!'))
        self.assertTrue(client.prepend('text', '?'))
        self.assertEqual(client.get('text'), '?y!')
        self.assertEqual(client.incr('number', 3), 10)
        self.assertEqual(client.decr('number'), 9)
        self.assertTrue(client.touch('number', 100))
        self.assertTrue(client.delete('number'))
        self.assertIsNone(client.get('number'))

    def test_many(self):
        values = {f'key{i}': f'value{i}' for i in range(300)}
        self.assertEqual(self.client.set_multi(values), [])
        self.assertEqual(self.client.get_multi(list(values)), values)
        self.assertTrue(self.client.delete_multi(list(values)))

    def test_cas(self):
        self.client.set('k', 'a')
        self.assertEqual(self.client.gets('k'), 'a')
        self.assertTrue(self.client.cas('k', 'b'))
        self.client.gets('k')
        self.client.set('k', 'c')
        self.client.cas_ids['k'] = 1
        self.assertFalse(self.client.cas('k', 'd'))

    def test_statistics(self):
        self.client.set('k', 'a')
        (_, stats), = self.client.get_stats()
        self.assertEqual(stats['curr_items'], '1')
        (_, settings), = self.client.get_stats('settings')
        self.assertIn('maxconns', settings)
        self.client.flush_all()
        self.assertIsNone(self.client.get('k'))


if __name__ == '__main__':
    unittest.main()
