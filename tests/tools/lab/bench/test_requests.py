from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from frontend_stub.socket_transport import SocketTransport
from tests.end_to_end.serving import serving
from tools.lab.bench import jobs
from tools.lab.bench.requests import Requests, request_jobs
from tools.lab.bench.session import Session

if TYPE_CHECKING:
    from pathlib import Path


def test_each_job_does_as_requests_what_its_title_says(leak_free: None, tmp_path: Path) -> None:
    share = tmp_path / "share"
    (share / "listed").mkdir(parents=True)
    for number in range(jobs.LISTED):
        (share / "listed" / str(number)).touch()
    (share / "many").mkdir()
    (share / "data").write_bytes(bytes(jobs.DATA_BYTES))
    address = f"unix:{tmp_path}/9p"
    left = []
    with serving(share, address), Session(SocketTransport.connect(address)) as session:
        done = request_jobs(session)
        assert list(done) == list(jobs.JOBS)
        for turn in range(2):
            for name, job in done.items():
                assert jobs.timed(job, "", turn) > 0
                if name == "create":
                    left.append(len(list((share / "many").iterdir())))
        with pytest.raises(FileNotFoundError):
            Requests(session).stat(b"nobody")
    assert left == [jobs.FILES, jobs.FILES]
    assert not list((share / "many").iterdir())
    assert (share / "data").stat().st_size == jobs.DATA_BYTES
    assert any((share / "data").read_bytes()[:4096])


def test_reads_and_writes_larger_than_a_message_are_whole(leak_free: None, tmp_path: Path) -> None:
    share = tmp_path / "share"
    share.mkdir()
    (share / "data").touch()
    address = f"unix:{tmp_path}/9p"
    data = memoryview(bytes(range(256)) * 4096)
    with serving(share, address), Session(SocketTransport.connect(address)) as session:
        requests = Requests(session)
        requests.walk(b"data")
        requests.open(2)
        assert session.max_io < len(data)
        assert requests.pwrite(data, 7) == len(data)
        assert requests.pread(len(data) + 100, 7) == len(data)
        requests.clunk()
    assert (share / "data").read_bytes() == bytes(7) + data
