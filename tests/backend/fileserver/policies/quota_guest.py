"""A worker of a root in a process of its own, for tests that kill it or let several run.

Usage: quota_guest.py TASK EXPORT LEDGERS MAX_SPACE MAX_FILES NAME.  Says ``ready``, waits for a
line on standard input, does its task, and says ``done`` unless it was killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[4]))

from backend.fileserver.files import NOBODY, Changes
from tests.backend.fileserver.quotas import quota

if TYPE_CHECKING:
    from backend.fileserver.policies.quota import QuotaTree


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def fill(tree: QuotaTree, name: str) -> None:
    """Write files until there is no room, removing every third; errors are passed by."""
    buffer = memoryview(bytes(100_000))
    full = 0
    for number in range(400):
        try:
            node, file = tree.create(
                tree.root, b"%s-%d" % (name.encode(), number), os.O_RDWR, 0o600, NOBODY
            )
        except OSError:
            full += 1
            continue
        try:
            file.write([buffer], number % 3 * 5_000)
        except OSError:
            full += 1
        file.close()
        node.release()
        if number % 3 == 0:
            tree.unlink(tree.root, b"%s-%d" % (name.encode(), number), directory=False)
    say(f"full {full}")


def share_file(tree: QuotaTree, name: str) -> None:
    """Write into one file that all have open, and cut it off now and then."""
    node, file = tree.create(tree.root, b"shared", os.O_RDWR, 0o600, NOBODY)
    buffer = memoryview(bytes(30_000))
    for number in range(300):
        try:
            file.write([buffer], number * 7_919 % 900_000)
        except OSError:
            tree.setattr(node, file, Changes(size=number * 1_000))
        if number % 50 == len(name):
            tree.setattr(node, file, Changes(size=0))
    file.close()
    node.release()


def orphan(tree: QuotaTree, name: str) -> None:
    """Hold a file without a name, and be killed."""
    _node, file = tree.create(tree.root, name.encode(), os.O_RDWR, 0o600, NOBODY)
    file.write([memoryview(bytes(200_000))], 0)
    tree.unlink(tree.root, name.encode(), directory=False)
    say("holding")
    sys.stdin.readline()
    os.kill(os.getpid(), signal.SIGKILL)


def tear(tree: QuotaTree, name: str) -> None:
    """Be killed while the words of the ledger are changed."""
    tree.create(tree.root, name.encode(), os.O_RDWR, 0o600, NOBODY)
    with tree.ledger._file.lock:
        os.kill(os.getpid(), signal.SIGKILL)


TASKS = {"fill": fill, "share": share_file, "orphan": orphan, "tear": tear}


def main() -> None:
    task, export, ledgers, max_space, max_files, name = sys.argv[1:]
    with quota(export, ledgers, max_space=int(max_space), max_files=int(max_files)) as tree:
        say("ready")
        sys.stdin.readline()
        TASKS[task](tree, name)
    say("done")


if __name__ == "__main__":
    main()
