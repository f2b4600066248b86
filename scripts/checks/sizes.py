"""No file is longer than 800 lines; one above 500 is named so that a reviewer asks why. No line is wider than 120.

    sizes.py ROOT

Looks at what we write by hand in src, tests, scripts and cmake. (Functions are measured by clang-tidy: 70 lines.)
"""
import sys
from pathlib import Path

FAIL_ABOVE, ASK_ABOVE, WIDTH = 800, 500, 120
FOLDERS = ('src', 'tests', 'scripts', 'cmake')
SUFFIXES = {'.h', '.cc', '.py', '.js', '.pl', '.cmake', '.txt', '.css', '.html', ''}
SKIPPED_FOLDERS = {'node_modules', '__pycache__'}


def is_ours(path):
    return (path.is_file() and path.suffix in SUFFIXES and not SKIPPED_FOLDERS.intersection(path.parts)
            and not any(part.endswith('_corpus') for part in path.parts))


def measure(root):
    """(lines, path) of each file that is longer than it should be, longest first."""
    long_files = []
    for folder in FOLDERS:
        for path in (root / folder).rglob('*'):
            if is_ours(path):
                lines = path.read_bytes().count(b'\n')
                if lines > ASK_ABOVE:
                    long_files.append((lines, str(path.relative_to(root))))
    return sorted(long_files, reverse=True)


def wide_lines(root):
    """path:line of each line that is too wide (the formatter leaves comments and Python alone)."""
    found = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob('*')):
            if is_ours(path) and path.suffix not in ('.txt', '.cmake'):
                for number, line in enumerate(path.read_text(encoding='utf-8', errors='replace').splitlines(), 1):
                    if len(line) > WIDTH:
                        found.append(f'{path.relative_to(root)}:{number}')
    return found


def main():
    long_files = measure(Path(sys.argv[1]))
    for lines, path in long_files:
        print(f'{path}: {lines} lines: ' + (f'more than {FAIL_ABOVE}' if lines > FAIL_ABOVE else 'why so long?'))
    too_long = [path for lines, path in long_files if lines > FAIL_ABOVE]
    too_wide = wide_lines(Path(sys.argv[1]))
    for place in too_wide:
        print(f'{place}: wider than {WIDTH}')
    print(f'{len(too_long)} files above {FAIL_ABOVE} lines, {len(too_wide)} lines above {WIDTH}')
    return 1 if too_long or too_wide else 0


if __name__ == '__main__':
    sys.exit(main())
