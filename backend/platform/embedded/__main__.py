"""The embedded hypervisor as a child process: ``python -m backend.platform.embedded``.

Started by ``EmbeddedHypervisor.start`` only.  Standard input is a pipe from the parent: its end,
the parent's death included, ends the hypervisor.  The descriptor given as second argument gets
one byte when all is ready, or the reason why not as ``errno text``.
"""

from __future__ import annotations

import os
import sys

from backend.platform.embedded.server import serve


def main(rundir: str, ready: int) -> int:
    """Serve until standard input ends."""
    try:
        serve(rundir, ready, life_fd=0)
    except OSError as error:
        message = f"{error.errno or 0} {error.strerror or error}"
        try:
            os.write(ready, message.encode())
        except OSError:
            # It was ready and closed the descriptor already.
            print(f"embedded hypervisor: {message}", file=sys.stderr)  # noqa: T201 -- a program
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
