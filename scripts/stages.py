"""The stages of scripts/test. Each says its name and its time; failures are collected and told again at the end.

    scripts/test [--quick] [--stage NAME]... [--fuzz-seconds N]

The last line is `N passed, N failed`: every ctest test, every source file for the formatter and the linter, every fuzz
target counts one.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOBS = os.cpu_count() or 1


class Tally:
    def __init__(self):
        self.passed, self.failures = 0, []

    def add(self, ok, name, output=''):
        if ok:
            self.passed += 1
            return
        self.failures.append(name)
        print(f'FAILED {name}\n{output}'.rstrip())


def run(command):
    """(exit code, output): stderr goes with stdout, there is no stdin."""
    try:
        done = subprocess.run([str(word) for word in command], cwd=ROOT, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace',
                              check=False)
    except OSError as error:  # no such program: a build has failed
        return 127, str(error)
    return done.returncode, done.stdout


def in_parallel(work, items):
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        yield from pool.map(work, items)


def our_sources(*suffixes):
    code, listed = run(['git', '-c', 'safe.directory=*', 'ls-files', '--', 'src', 'tests'])
    if code != 0:
        raise SystemExit(f'git ls-files: {listed}')
    return [name for name in listed.splitlines() if name.endswith(suffixes) and (ROOT / name).is_file()]


def build(tally, preset):
    for step in (['cmake', '--preset', preset], ['cmake', '--build', '--preset', preset, '-j', JOBS, '--', '-k', '0']):
        code, output = run(step)
        if code != 0:
            tally.add(False, ' '.join(map(str, step)), '\n'.join(output.splitlines()[-80:]))
            return False
    return True


def without_address_randomisation():
    """ThreadSanitizer of g++ 12 gives up where the kernel spreads addresses widely (vm.mmap_rnd_bits above 28)."""
    prefix = ['setarch', '-R']
    return prefix if shutil.which('setarch') and run(prefix + ['true'])[0] == 0 else []


def ctest(tally, preset, *choice, prefix=()):
    if not build(tally, preset):
        return
    code, output = run([*prefix, 'ctest', '--test-dir', f'build/{preset}', '--output-on-failure', '-j', JOBS, *choice])
    total = re.search(r'(\d+) tests? failed out of (\d+)', output)
    if not total:
        tally.add(False, f'ctest in {preset} ran nothing', output)
        return
    failed = int(total[1])
    tally.passed += int(total[2]) - failed
    names = re.findall(r'^\s*\d+ - (\S+) \(', output, re.MULTILINE) if failed else []
    for name in names or ([f'{failed} tests'] if failed or code else []):
        tally.failures.append(f'{preset}: {name}')
    if failed or code:
        print(output)


def stage_format(tally):
    def check(name):
        return name, *run(['clang-format-19', '--dry-run', '-Werror', name])

    for name, code, output in in_parallel(check, our_sources('.h', '.cc')):
        tally.add(code == 0, f'format of {name}', output)


def stage_dev(tally):
    ctest(tally, 'dev', '-LE', 'bench')


def stage_tsan(tally):
    ctest(tally, 'tsan', '-LE', 'bench|check', prefix=without_address_randomisation())


def stage_release(tally):
    ctest(tally, 'release', '-LE', 'check')


def stage_clang(tally):
    """All sources with clang and its thread-safety analysis; the next two stages use this build."""
    tally.add(build(tally, 'fuzz'), 'clang build')


def include_closure(name, seen):
    """`name` and every file of ours that it includes, however deep."""
    if name not in seen and (ROOT / name).is_file():
        seen.add(name)
        text = (ROOT / name).read_text(encoding='utf-8')
        for included in re.findall(r'^\s*#\s*include "([^"]+)"', text, re.MULTILINE):
            include_closure(f'src/{included}', seen)
    return seen


def stage_tidy(tally):
    """Remembers what has passed by its content, so that a second run looks only at what has changed."""
    database = ROOT / 'build/fuzz/compile_commands.json'
    if not database.is_file() and not build(tally, 'fuzz'):
        return
    commands = {str(Path(entry['file']).relative_to(ROOT)): entry['command']
                for entry in json.loads(database.read_text(encoding='utf-8'))
                if entry['file'].endswith('.cc') and Path(entry['file']).is_relative_to(ROOT / 'src')}
    passed_before = ROOT / 'build/tidy-passed'
    passed_before.mkdir(exist_ok=True)
    rules = (ROOT / '.clang-tidy').read_bytes() + run(['clang-tidy-19', '--version'])[1].encode()

    def check(name):
        digest = hashlib.sha256(rules + commands[name].encode())
        for file in sorted(include_closure(name, set())):
            digest.update(file.encode() + (ROOT / file).read_bytes())
        stamp = passed_before / digest.hexdigest()
        if stamp.exists():
            return name, 0, ''
        code, output = run(['clang-tidy-19', '--quiet', '-p', database.parent, name])
        if code == 0:
            stamp.touch()
        return name, code, output

    for name, code, output in in_parallel(check, sorted(commands)):
        tally.add(code == 0, f'clang-tidy of {name}', output)


def stage_fuzz(tally, seconds):
    """Starts from the corpus in the tree; what is found on the way stays under build/fuzz."""
    targets_file = ROOT / 'build/fuzz/fuzz_targets.txt'
    if not targets_file.is_file() and not build(tally, 'fuzz'):
        return
    targets = [line.split(' ', 1) for line in targets_file.read_text(encoding='utf-8').splitlines() if line]

    def fuzz(target_and_corpus):
        target, corpus = target_and_corpus
        found = ROOT / 'build/fuzz/found' / target
        found.mkdir(parents=True, exist_ok=True)
        return target, *run([f'build/fuzz/bin/{target}', found, corpus, f'-max_total_time={seconds}', '-timeout=20',
                             '-rss_limit_mb=3000', '-print_final_stats=1', f'-artifact_prefix=build/fuzz/{target}-'])

    for target, code, output in in_parallel(fuzz, targets):
        executed = re.search(r'number_of_executed_units: (\d+)', output)
        print(f'  {target}: {executed[1] if executed else 0} inputs')
        tally.add(code == 0 and executed is not None, f'fuzz target {target}', '\n'.join(output.splitlines()[-60:]))


def main():
    stages = {'format': stage_format, 'dev': stage_dev, 'tsan': stage_tsan, 'release': stage_release,
              'clang': stage_clang, 'tidy': stage_tidy, 'fuzz': lambda tally: stage_fuzz(tally, arguments.fuzz_seconds)}
    parser = argparse.ArgumentParser(prog='scripts/test', description='Runs every test.')
    parser.add_argument('--quick', action='store_true', help='only the stages format and dev')
    parser.add_argument('--stage', action='append', choices=list(stages), help='only this stage (may be repeated)')
    parser.add_argument('--fuzz-seconds', type=int, default=60, metavar='N', help='time for each fuzz target (60)')
    arguments = parser.parse_args()

    chosen = arguments.stage or (['format', 'dev'] if arguments.quick else list(stages))
    tally = Tally()
    for name in chosen:
        print(f'== {name}')
        start, before = time.monotonic(), (tally.passed, len(tally.failures))
        stages[name](tally)
        print(f'== {name}: {tally.passed - before[0]} passed, {len(tally.failures) - before[1]} failed, '
              f'{time.monotonic() - start:.0f} s')
    for failure in tally.failures:
        print(f'failed: {failure}')
    print(f'{tally.passed} passed, {len(tally.failures)} failed')
    return 1 if tally.failures or not tally.passed else 0


if __name__ == '__main__':
    sys.exit(main())
