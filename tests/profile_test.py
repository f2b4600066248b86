"""scripts/profile: what it counts is there, and is of the size that it must be.

    PELIKAN_BIN=build/release/bin python3 profile_test.py
"""
import os
import re
import subprocess
import unittest

PROFILE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'scripts', 'profile')
LOOK_UP = 'pelikan::storage::segcache::Index::look_up'


def rows(*words):
    """{what: its counts per request}."""
    done = subprocess.run([PROFILE, *words, '--bin', os.environ['PELIKAN_BIN'], '--seconds', '1', '--keys', '1000'],
                          capture_output=True, text=True, check=False, timeout=200)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    found = re.findall(r'^\s*([\d. ]*\d)  (\S+)$', done.stdout, re.MULTILINE)
    return {name: [float(count) for count in counts.split()] for counts, name in found}


class Profile(unittest.TestCase):
    def test_instructions_of_a_get(self):
        found = rows('instructions', '--pipeline', '16')
        self.assertGreater(found['all'][0], 300)
        self.assertLess(found['all'][0], 5000)
        self.assertGreater(found[LOOK_UP][0], 20)
        self.assertLess(found[LOOK_UP][0], found['all'][0])

    def test_lines_of_a_set(self):
        found = rows('lines', '--pipeline', '16', '--workload', 'set')
        self.assertEqual(len(found['all']), 4)
        self.assertGreater(found['all'][1], 0.5)  # an item is written somewhere new

    def test_calls(self):
        found = rows('calls', '--engine', 'epoll', '--pipeline', '16')
        for name in ('sendto', 'recvfrom'):  # one for each batch
            self.assertGreater(found[name][0], 0.5 / 16)
            self.assertLess(found[name][0], 2 / 16)


if __name__ == '__main__':
    unittest.main(verbosity=2)
