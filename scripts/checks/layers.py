"""The arrows between the modules: does what is included agree with what is declared?

    layers.py build/dev/layers.txt src

layers.txt is written by CMake, one module a line: name|folder|DEPS|TEST_DEPS|files|TEST_HEADERS.
The rules:
  - a file includes only its own module and the module's DEPS; its tests also TEST_DEPS and whatever those stand on;
  - a declared dependency is used; the declared dependencies have no cycle;
  - `testing` and TEST_HEADERS are for tests only;
  - every file under src is listed by a module, so no header escapes its check and no test is left unrun.
Prints one line for each breach; exits 1 if there is any.
"""
import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.MULTILINE)
TEST_FILE = re.compile(r'_(test|fuzz|bench)\.cc$')
NAMED_BY_CMAKE = {'testing/fuzz_main.cc'}  # pelikan_fuzz() adds it to each target


def is_testing(name):
    return name == 'testing' or name.startswith('testing_')


class Module:
    def __init__(self, line):
        name, folder, deps, test_deps, files, test_headers = line.split('|')
        self.name, self.folder = name, folder
        self.deps, self.test_deps, self.files, self.test_headers = (
            {word for word in part.split(',') if word} for part in (deps, test_deps, files, test_headers))
        self.is_server = name.startswith('pelikan-')


def read_modules(text):
    modules = [Module(line) for line in text.splitlines() if line]
    return {module.name: module for module in modules}


def find_cycle(modules):
    """The names along one cycle of DEPS, or None."""
    done, path = set(), []

    def visit(name):
        if name in path:
            return path[path.index(name):] + [name]
        if name in done or name not in modules:
            return None
        path.append(name)
        for dep in sorted(modules[name].deps):
            if cycle := visit(dep):
                return cycle
        done.add(path.pop())
        return None

    for name in sorted(modules):
        if cycle := visit(name):
            return cycle
    return None


def closure(modules, names):
    seen, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name not in seen and name in modules:
            seen.add(name)
            todo.extend(modules[name].deps)
    return seen


def owner_of(by_folder, path):
    """The module whose folder is the nearest one above `path`."""
    for folder in Path(path).parents:
        if str(folder) in by_folder:
            return by_folder[str(folder)]
    return None


def check_file(modules, by_folder, src, path, used):
    module = owner_of(by_folder, path)
    if module is None:
        if path not in NAMED_BY_CMAKE:
            yield f'src/{path}: no module declares this folder'
        return
    inside = str(Path(path).relative_to(module.folder))
    known = module.files | module.test_headers
    if inside not in known and path not in NAMED_BY_CMAKE and not (module.is_server and path.endswith('.h')):
        yield f'src/{path}: module {module.name} does not list this file'
    is_test = TEST_FILE.search(path) or is_testing(module.name) or inside in module.test_headers
    allowed = {module.name} | module.deps
    if is_test:
        allowed |= closure(modules, module.deps | module.test_deps)
    for quote, target in INCLUDE.findall((src / path).read_text(encoding='utf-8')):
        if quote == '<':
            if (src / target).is_file():
                yield f'src/{path}: <{target}> is ours, include it with quotes'
            continue
        other = owner_of(by_folder, target)
        if other is None or not (src / target).is_file():
            yield f'src/{path}: "{target}" is no file of a module under src'
        elif not is_test and (is_testing(other.name) or
                              str(Path(target).relative_to(other.folder)) in other.test_headers):
            yield f'src/{path}: "{target}" is for tests only'
        elif other.name not in allowed:
            yield f'src/{path}: "{target}" is of module {other.name}, which {module.name} does not declare'
        else:
            used.add((module.name, other.name))


def check(layers_text, src):
    modules = read_modules(layers_text)
    by_folder = {module.folder: module for module in modules.values()}
    used = set()
    for path in sorted(src.rglob('*')):
        if path.suffix in ('.h', '.cc'):
            yield from check_file(modules, by_folder, src, str(path.relative_to(src)), used)
    for module in modules.values():
        for dep in sorted(module.deps | module.test_deps):
            if dep not in modules:
                yield f'{module.name}: depends on {dep}, which is no module'
            elif dep in module.deps and (module.name, dep) not in used:
                yield f'{module.name}: declares {dep} and includes nothing of it'
    if cycle := find_cycle(modules):
        yield 'cycle: ' + ' -> '.join(cycle)


def main():
    layers, src = Path(sys.argv[1]), Path(sys.argv[2])
    breaches = list(check(layers.read_text(encoding='utf-8'), src))
    print('\n'.join(breaches) if breaches else 'the arrows agree with the declarations')
    return 1 if breaches else 0


if __name__ == '__main__':
    sys.exit(main())
