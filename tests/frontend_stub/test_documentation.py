"""The examples of docs/frontend-api.md do what they say."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frontend_stub.share import Share

if TYPE_CHECKING:
    from tools.testbed import Testbed

PAGE = Path(__file__).resolve().parents[2] / "docs/frontend-api.md"


def test_the_examples_run_one_after_the_other(bed: Testbed, export: Path, tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8").replace("embedded:/run/lab", bed.platform)
    first, socket, streaming, several = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    bed.guest(7, export, tag="state")
    (export / "done").mkdir()
    (tmp_path / "input").write_bytes(b"core" * 100_000)

    names: dict[str, Any] = {"state": b"the state"}
    exec(compile(first, str(PAGE), "exec"), names)  # noqa: S102 -- our own page
    assert (export / "done/qemu-save.7").read_bytes() == b"the state"

    # The others need a share that is open; this one has it as the first example had it.
    source = os.open(tmp_path / "input", os.O_RDONLY)
    with Share.attach(names["connect_device"](bed.platform, 7, tag="state")) as share:
        names["share"] = share
        exec(compile(streaming.replace("pieces_of(0,", f"pieces_of({source},"), "x", "exec"), names)  # noqa: S102
        assert (export / "core").read_bytes() == b"core" * 100_000
        with share.open("core") as names["file"]:
            exec(compile(several, str(PAGE), "exec"), names)  # noqa: S102 -- our own page
        assert names["sizes"] == [400_000] * 8
    os.close(source)
    assert 'connect_socket("unix:/run/share.9p")' in socket
