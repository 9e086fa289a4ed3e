from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """\
import sys
sys.path.insert(0, {root!r})
from backend.supervisor.fork_server import ForkServer
server = ForkServer("embedded:nowhere")
loaded = "import sys; print('backend.commands.failure' in sys.modules, flush=True)"
process = server._context.Process(target=exec, args=(loaded,))
process.start()
process.join(60)
assert process.exitcode == 0
"""


def test_workers_find_their_modules_loaded_where_only_the_launcher_knows_the_program() -> None:
    # -S: without what this environment has installed, the program's own path among it.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM.format(root=str(ROOT))],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 0)
