"""Arbitrary bytes on a XenStore socket: the server lives, and serves the next client."""

from __future__ import annotations

import contextlib
import socket
import tempfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.platform.embedded.xenstore_thread import XenStoreThread
from backend.platform.embedded.xenstore_wire import Op, Packet
from protocol.xenpv.ids import Domid
from tests.backend.platform.xenstore_clients import SocketClient

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[str]:
    """One server that lives through everything."""
    with tempfile.TemporaryDirectory(prefix="xs") as directory, XenStoreThread() as server:
        for domid in (0, 5):
            path = f"{directory}/{domid}"
            server.call(lambda it, path=path, domid=domid: it.listen(path, Domid(domid)))  # type: ignore[misc]
            server.call(lambda it, domid=domid: it.introduce(Domid(domid)))  # type: ignore[misc]
        yield directory


plausible = st.builds(
    Packet,
    st.sampled_from([*Op, 20, 23, 2**32 - 1]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0, 0, 0, 1, 2, 2**32 - 1]),
    st.one_of(
        st.binary(max_size=64),
        st.lists(
            st.sampled_from(
                [*(b"/", b"/a", b"a", b"@releaseDomain", b"t", b"T", b"F", b"5", b"0", b"n5")]
            ),
            max_size=4,
        ).map(lambda parts: b"".join(part + b"\0" for part in parts)),
    ),
).map(Packet.encode)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([0, 5]),
    st.lists(st.one_of(plausible, plausible, st.binary(max_size=40)), max_size=12),
)
def test_whatever_a_client_sends_the_next_client_is_served(
    fuzzed: str, domid: int, pieces: list[bytes]
) -> None:
    with SocketClient(f"{fuzzed}/{domid}") as client:
        # The server may hang up before it has read everything.
        with contextlib.suppress(OSError):
            client.sock.sendall(b"".join(pieces))
            client.sock.shutdown(socket.SHUT_WR)
        assert client.hung_up()
    with SocketClient(f"{fuzzed}/0") as client:
        assert client.permissions(b"/") != b""
