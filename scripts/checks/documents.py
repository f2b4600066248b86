"""The pages for newcomers stay true.

    documents.py ROOT

  - a link to a file of the tree leads to one;
  - a code block that names a file (```cpp src/a/b.h) is found in that file word for word;
  - the tutorial, the whole ping server with its tests, stays below 150 lines.
"""
import re
import sys
from pathlib import Path

TUTORIAL = ('src/protocol/ping', 'src/backend/ping', 'src/server/pingserver')
TUTORIAL_LINES_MAX = 150
LINK = re.compile(r'\]\(([^)#:\s]+)\)')
BLOCK = re.compile(r'^```\w+ (\S+)\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def pages(root):
    return sorted([*root.glob('*.md'), *root.glob('docs/**/*.md')])


def check_page(root, page):
    text, name = page.read_text(encoding='utf-8'), page.relative_to(root)
    for target in LINK.findall(text):
        if not (page.parent / target).exists():
            yield f'{name}: links to {target}, which is not there'
    for path, code in BLOCK.findall(text):
        if not (root / path).is_file():
            yield f'{name}: quotes {path}, which is not there'
        elif code not in (root / path).read_text(encoding='utf-8'):
            yield f'{name}: {path} does not say what is quoted from it'


def tutorial_lines(root):
    return sum(path.read_bytes().count(b'\n') for folder in TUTORIAL for path in (root / folder).glob('*')
               if path.is_file())


def check(root):
    for page in pages(root):
        yield from check_page(root, page)
    if (lines := tutorial_lines(root)) >= TUTORIAL_LINES_MAX:
        yield f'the ping server takes {lines} lines: {TUTORIAL_LINES_MAX} is too long for a tutorial'


def main():
    breaches = list(check(Path(sys.argv[1])))
    print('\n'.join(breaches) if breaches else 'links and quotations are true')
    return 1 if breaches else 0


if __name__ == '__main__':
    sys.exit(main())
