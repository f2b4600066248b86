"""The admin port: Prometheus's own linter reads /metrics, and a plain HTTP client the rest."""
import json
import unittest
import urllib.error
import urllib.request

from harness import ServerTest


class Admin(ServerTest):
    def fetch(self, path):
        with urllib.request.urlopen(f'http://127.0.0.1:{self.server.admin_port}{path}', timeout=30) as reply:
            return reply.headers, reply.read()

    def test_promtool_accepts_the_metrics(self):
        self.talk(b'set k 0 0 1\r\nv\r\nget k\r\nget absent\r\n', 5)
        headers, body = self.fetch('/metrics')
        self.assertTrue(headers['Content-Type'].startswith('text/plain'), headers)
        output = self.succeed('promtool', 'check', 'metrics', stdin=body)
        self.assertEqual(output.strip(), '')
        samples = [line for line in body.decode().splitlines() if not line.startswith('#')]
        self.assertLess(len(samples), 2000)
        self.assertEqual(len(samples), len({line.rsplit(' ', 1)[0] for line in samples}))

    def test_vars_are_json(self):
        headers, body = self.fetch('/vars.json')
        self.assertTrue(headers['Content-Type'].startswith('application/json'), headers)
        self.assertTrue(json.loads(body))

    def test_health(self):
        for path in ('/healthz', '/readyz', '/'):
            self.fetch(path)
        with self.assertRaises(urllib.error.HTTPError) as refused:
            self.fetch('/nothing-of-the-kind')
        self.assertEqual(refused.exception.code, 404)

    def test_text(self):
        port = self.server.admin_port
        self.assertTrue(self.talk(b'version\r\n', 1, port).startswith(b'VERSION '))
        self.assertTrue(self.talk(b'stats\r\n', 1, port).startswith(b'STAT '))
        self.talk(b'set k 0 0 1\r\nv\r\n', 1)
        self.assertEqual(self.talk(b'flush_all\r\n', 1, port), b'OK\r\n')
        self.assertEqual(self.talk(b'quit\r\n', 1, port), b'')


if __name__ == '__main__':
    unittest.main()
