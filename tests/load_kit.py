"""Processes that keep a server busy while the test looks on.

    def talk(address, number):                    # one process: opens, and yields after each round of replies
        ...
        yield {'requests': 100}                   # what it has done so far

    with Load(talk, [(server.address, 0), (server.address, 1)]) as clients:
        ...                                       # every process has had replies
    clients.done                                  # what each has done in the end

All begin at the same time, when the last process is there. What goes wrong in one of them fails the test at the end.
"""
import multiprocessing

from tls_kit import PATIENCE


class Load:
    def __init__(self, talk, arguments):
        self.talk = talk
        self.stop, self.results = multiprocessing.Event(), multiprocessing.Queue()
        self.step, self.begin = multiprocessing.Semaphore(0), multiprocessing.Event()
        self.processes = [multiprocessing.Process(target=self._run, args=each, daemon=True) for each in arguments]

    def _run(self, *arguments):
        self.step.release()
        self.begin.wait(PATIENCE)
        done, replied = None, False
        try:
            for done in self.talk(*arguments):
                if not replied:
                    self.step.release()
                replied = True
                if self.stop.is_set():
                    break
            self.results.put(done)
        except Exception as error:  # whatever it is, the test must hear of it
            self.results.put(f'{type(error).__name__} {error}')
            if not replied:
                self.step.release()

    def _await_step(self, what):
        for _ in self.processes:
            assert self.step.acquire(timeout=PATIENCE), f'a process did not {what}'

    def __enter__(self):
        for process in self.processes:
            process.start()
        self._await_step('start')
        self.begin.set()
        self._await_step('get replies')
        return self

    def __exit__(self, *_):
        self.stop.set()
        found = [self.results.get(timeout=PATIENCE) for _ in self.processes]
        for process in self.processes:
            process.join()
        troubles = [one for one in found if isinstance(one, str)]
        if troubles:
            raise AssertionError('\n'.join(troubles))
        self.done = found
