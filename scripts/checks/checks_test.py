"""A check that cannot fail is worth nothing: each rule is shown a small bad tree, and the good tree beside it."""
import tempfile
import unittest
from pathlib import Path

import documents
import layers
import sizes

GOOD = {
    'base/a.h': '#include <vector>\n',
    'net/n.h': '#include "base/a.h"\n',
    'net/kit.h': '#include "testing/clock.h"\n',
    'net/n_test.cc': '#include "net/n.h"\n#include "net/kit.h"\n#include "base/a.h"\n',
    'testing/clock.h': '#include "base/a.h"\n',
}
GOOD_LAYERS = 'base|base|||a.h|\nnet|net|base|testing|n.h,n_test.cc|kit.h\ntesting|testing|base||clock.h|\n'


class Tree:
    """A folder with the given files."""

    def __init__(self, files):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        for name, text in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(text, encoding='utf-8')

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        self.folder.cleanup()


def breaches(files=None, layers_text=GOOD_LAYERS):
    with Tree({**GOOD, **(files or {})}) as src:
        return list(layers.check(layers_text, src))


class LayersTest(unittest.TestCase):
    def expect(self, found, *parts):
        self.assertEqual(len(found), 1, found)
        for part in parts:
            self.assertIn(part, found[0])

    def test_the_good_tree_passes(self):
        self.assertEqual(breaches(), [])

    def test_undeclared_arrow(self):
        self.expect(breaches({'base/a.h': '#include "net/n.h"\n'}), 'base/a.h', 'module net', 'does not declare')

    def test_tests_may_not_leap_either(self):
        self.expect(breaches({'x/x.h': '', 'net/n_test.cc': '#include "x/x.h"\n'}, GOOD_LAYERS + 'x|x|||x.h|\n'),
                    'net/n_test.cc', 'module x')

    def test_testing_is_for_tests(self):
        declared = GOOD_LAYERS.replace('net|net|base|testing', 'net|net|base,testing|')
        found = breaches({'net/n.h': '#include "base/a.h"\n#include "testing/clock.h"\n'}, declared)
        self.expect([line for line in found if 'tests only' in line], 'net/n.h')

    def test_a_test_header_is_for_tests(self):
        self.expect(breaches({'net/n.h': '#include "base/a.h"\n#include "net/kit.h"\n'}), 'net/n.h', 'tests only')

    def test_unused_dependency(self):
        self.expect(breaches({'net/n.h': '', 'net/n_test.cc': ''}), 'net: declares base')

    def test_unknown_dependency(self):
        self.expect(breaches(layers_text=GOOD_LAYERS.replace('|testing|n.h', '|testing,nowhere|n.h')), 'nowhere')

    def test_cycle(self):
        found = breaches({'base/a.h': '#include "net/n.h"\n'}, GOOD_LAYERS.replace('base|base||', 'base|base|net|'))
        self.expect(found, 'cycle: base -> net -> base')

    def test_file_that_nobody_lists(self):
        self.expect(breaches({'net/forgotten_test.cc': ''}), 'net/forgotten_test.cc', 'does not list')

    def test_folder_that_nobody_declares(self):
        self.expect(breaches({'stray/s.h': ''}), 'stray/s.h', 'no module declares')

    def test_missing_file(self):
        self.expect(breaches({'net/n.h': '#include "base/a.h"\n#include "base/b.h"\n'}), 'base/b.h', 'no file')

    def test_angle_brackets_for_our_own(self):
        self.expect(breaches({'net/n.h': '#include "base/a.h"\n#include <base/a.h>\n'}), 'include it with quotes')


class SizesTest(unittest.TestCase):
    def test_only_long_files_are_named(self):
        with Tree({'src/a.cc': '\n' * 500, 'src/b.cc': '\n' * 501, 'tests/c.py': '\n' * 801,
                   'tests/node_modules/d.js': '\n' * 9999, 'src/x_fuzz_corpus/e': '\n' * 9999}) as root:
            self.assertEqual(sizes.measure(root), [(801, 'tests/c.py'), (501, 'src/b.cc')])

    def test_only_wide_lines_are_named(self):
        with Tree({'src/a.cc': 'x' * 120 + '\n// ' + 'é' * 117 + '\n', 'src/b.h': '\n' + 'x' * 121 + '\n'}) as root:
            self.assertEqual(sizes.wide_lines(root), ['src/b.h:2'])


class DocumentsTest(unittest.TestCase):
    FILES = {'src/a.h': 'one();\ntwo();\n', 'docs/b.md': '[a](../src/a.h), [out](https://example.org)\n',
             'README.md': 'see [docs](docs) and [b](docs/b.md#part)\n```cpp src/a.h\ntwo();\n```\n```sh\nls\n```\n'}

    def expect(self, changes, *breaches):
        with Tree({**self.FILES, **changes}) as root:
            found = list(documents.check(root))
        self.assertEqual(len(found), len(breaches), found)
        for line, part in zip(found, breaches):
            self.assertIn(part, line)

    def test_true_pages_pass(self):
        self.expect({})

    def test_dead_link(self):
        self.expect({'docs/b.md': '[gone](gone.md)\n'}, 'docs/b.md: links to gone.md')

    def test_false_quotation(self):
        self.expect({'src/a.h': 'one();\n'}, 'src/a.h does not say')
        self.expect({'README.md': '```cpp src/c.h\nx\n```\n'}, 'quotes src/c.h')

    def test_long_tutorial(self):
        self.expect({'src/backend/ping/noop.h': '\n' * 149})
        self.expect({'src/backend/ping/noop.h': '\n' * 150}, '150 lines')


if __name__ == '__main__':
    unittest.main()
