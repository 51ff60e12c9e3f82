"""Limits of time: a test that hangs fails with its name, and the run ends by itself.

A limit is for hangs: it leaves room for a machine that is ten times slower than ours. There are
three, each for what the one before cannot end:

1. After ``timeout`` seconds (of pytest-timeout; slow tests have ``timeout_slow``) the programs
   that the test has started are killed, and the test fails where it stands.
2. A test that does not come back to Python, since native code holds it, cannot fail by itself:
   after ``timeout_grace`` more its process prints the stacks and ends. pytest-xdist reports the
   test as failed and starts another worker for the rest.
3. After ``timeout_run`` seconds the whole run ends, and names the tests that were under way.
"""

import faulthandler
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

LIMITS = {
    "timeout_slow": (3600, "Seconds for a test that is marked as slow."),
    "timeout_grace": (300, "Seconds in which a test must fail when its time is over."),
    "timeout_run": (6 * 3600, "Seconds for the whole run."),
}
_stderr = pytest.StashKey[int]()
_settings = pytest.StashKey[Any]()
_under_way: dict[str, None] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The limits, which pyproject.toml or ``-o`` may change."""
    for name, (seconds, words) in LIMITS.items():
        parser.addini(name, words, default=str(seconds))


def pytest_configure(config: pytest.Config) -> None:
    """Keeps the real standard error, and sets the limit of the run in the process that leads it."""
    config.stash[_stderr] = os.dup(2)
    if not hasattr(config, "workerinput"):
        end = threading.Timer(_seconds(config, "timeout_run"), _end_the_run, [config])
        end.daemon = True
        end.start()
        config.add_cleanup(end.cancel)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow tests get more time, and files that have many come first: none is left for the end."""
    slow = [item for item in items if item.get_closest_marker("slow")]
    for item in slow:
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_seconds(config, "timeout_slow")))
    count = Counter(item.path for item in slow)
    items.sort(key=lambda item: -count[item.path])


def pytest_runtest_logstart(nodeid: str) -> None:
    """A test is under way."""
    _under_way[nodeid] = None


def pytest_runtest_logfinish(nodeid: str) -> None:
    """A test is over."""
    _under_way.pop(nodeid, None)


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Iterator[None]:
    """Kills a test's programs before pytest-timeout fails it; ends the process if it does not."""
    result = yield
    fail = signal.getsignal(signal.SIGALRM)
    assert callable(fail), "timeout_method must be signal"

    def handler(number: int, frame: Any) -> None:
        __tracebackhide__ = True
        kill_children()  # first, since what waits for them in a `finally` would wait for ever
        fail(number, frame)

    signal.signal(signal.SIGALRM, handler)
    last = settings.timeout + _seconds(item.config, "timeout_grace")
    # its thread is none of Python's: it ends a process whose lock a hanging library holds, too
    faulthandler.dump_traceback_later(last, exit=True, file=item.config.stash[_stderr])
    item.stash[_settings] = settings
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_cancel_timer() -> None:
    """The test is over, or has failed."""
    faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Time for the fixtures to end: pytest-timeout stops looking when a test has failed."""
    if _settings in item.stash:
        item.config.hook.pytest_timeout_set_timer(item=item, settings=item.stash[_settings])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """``--dist loadfile`` that can do without a worker."""
    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


class ByFile(LoadFileScheduling):
    """Shares out the files; a test whose worker dies has failed, and is not run again.

    pytest-xdist 3.8 gives such a test to the next worker, and to the next, until all are dead; and
    it leaves a new worker with one test waiting for ever, for a worker begins a test only when it
    knows what comes after.
    """

    def remove_node(self, node: WorkerController) -> str | None:
        """Puts back what a worker leaves undone; returns the test that it died of."""
        units = self.assigned_work.pop(node)
        left = {
            scope: unit
            for scope, tests in units.items()
            if (unit := {test: done for test, done in tests.items() if not done})
        }
        if not left:
            return None
        scope = next(iter(left))
        died_of = next(iter(left[scope]))
        del left[scope][died_of]
        self.workqueue.update({scope: unit for scope, unit in left.items() if unit})
        for other in self.nodes:
            self._reschedule(other)
        return died_of

    def add_node_collection(self, node: WorkerController, collection: Any) -> None:
        """Not of one that was told to end before it had collected."""
        if node in self.assigned_work:
            super().add_node_collection(node, collection)

    def _reschedule(self, node: WorkerController) -> None:
        """Gives a worker enough for it to go on, or tells it that nothing more will come."""
        if node.shutting_down or node not in self.registered_collections:
            return
        while self.workqueue and self._pending_of(self.assigned_work[node]) <= 2:
            self._assign_work_unit(node)
        if not self.workqueue:
            node.shutdown()


def children(pid: int) -> set[int]:
    """All descendants of a process."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        try:
            tasks = Path(f"/proc/{waiting.pop()}/task")
            new = {int(k) for t in tasks.iterdir() for k in (t / "children").read_text().split()}
        except OSError:
            continue
        waiting += new - found
        found |= new
    return found


def kill_children() -> None:
    """Ends all descendants of this process."""
    for pid in children(os.getpid()):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def _seconds(config: pytest.Config, name: str) -> float:
    return float(config.getini(name))


def _end_the_run(config: pytest.Config) -> None:
    """The last resort."""
    names = "".join(f"\n  {nodeid}" for nodeid in _under_way) or " none"
    text = f"\nThe run took more than {_seconds(config, 'timeout_run'):g} s. Under way:{names}\n"
    os.write(config.stash[_stderr], text.encode())
    kill_children()
    os._exit(1)
