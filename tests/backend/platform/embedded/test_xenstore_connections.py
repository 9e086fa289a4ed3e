"""Sockets: what a client does to its own connection stays there."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
import struct
import tempfile
from typing import TYPE_CHECKING

import pytest

from backend.platform.embedded.xenstore_connection import MAX_OUTPUT
from backend.platform.embedded.xenstore_limits import Limits
from backend.platform.embedded.xenstore_thread import XenStoreThread
from backend.platform.embedded.xenstore_wire import Op, Packet
from protocol.xenpv.ids import DOM0, Domid
from tests.backend.platform.store_waiting import wait_until
from tests.backend.platform.xenstore_clients import SocketClient, fails

if TYPE_CHECKING:
    from tests.backend.platform.conftest import Daemon, MakeDaemon


def test_a_connection_is_its_sockets_domain(daemon: Daemon) -> None:
    daemon.client().write(b"/local/domain/5")
    with fails(errno.EACCES):
        daemon.client(5).read(b"/local/domain/5")
    daemon.client().chmod(b"/local/domain/5", b"n5")
    daemon.client(5).write(b"data", b"1")
    assert daemon.client().permissions(b"/local/domain/5/data") == b"n5"
    with fails(errno.EACCES):
        daemon.client(6).read(b"/local/domain/5/data")


def test_requests_in_small_pieces_and_many_at_once(daemon: Daemon) -> None:
    client = daemon.client()
    stream = b"".join(Packet(Op.READ, number, 0, b"/\0").encode() for number in range(3000))
    for at in range(60):
        client.sock.send(stream[at : at + 1])
    client.sock.sendall(stream[60:])
    assert [client.next_packet().req_id for _ in range(3000)] == list(range(3000))


def test_a_client_that_reads_late_gets_every_answer(daemon: Daemon) -> None:
    client = daemon.client()
    client.write(b"/a", bytes(4000))
    asked = 0
    client.sock.setblocking(False)
    # More than the server keeps unsent, and more than both sockets hold.
    try:
        while asked < 100_000:
            request = Packet(Op.READ, asked, 0, b"/a\0").encode()
            sent = client.sock.send(request)
            if sent < len(request):
                break
            asked += 1
        rest = request[sent:]
    except BlockingIOError:
        rest = b""
    assert asked < 100_000
    client.sock.settimeout(10)
    daemon.client().write(b"/others/are/served")
    for number in range(asked):
        assert client.next_packet().req_id == number
    if rest:
        client.sock.sendall(rest)
        assert client.next_packet().req_id == asked
    assert client.read(b"/a") == bytes(4000)


def test_a_client_that_never_reads_its_events_is_given_up(daemon: Daemon) -> None:
    deaf, busy = daemon.client(), daemon.client()
    deaf.watch(b"/", b"t" * 3000)
    for number in range(2 * MAX_OUTPUT // 3000):
        busy.write(b"/n%d" % number)
        if daemon.connections() == 1:
            break
    assert daemon.connections() == 1
    assert deaf.hung_up()
    assert busy.read(b"/n0") == b""


def test_an_event_that_waits_is_not_queued_again(daemon: Daemon) -> None:
    deaf, busy = daemon.client(), daemon.client()
    deaf.watch(b"/", b"t" * 3000)
    assert len(deaf.wait_event()[1]) == 3000
    # Until its socket is full, each comes; then one for each path.
    for _ in range(2000):
        busy.write(b"/a")
        busy.write(b"/b")
    assert daemon.connections() == 2
    got = 0
    deaf.watch(b"/end", b"end")
    while (event := deaf.wait_event())[1] != b"end":
        assert event[0] in (b"/a", b"/b")
        got += 1
    assert 2 <= got < 1000


@pytest.mark.parametrize("length", [4097, 2**31, 2**32 - 1])
def test_an_impossible_length_ends_that_connection_only(daemon: Daemon, length: int) -> None:
    good, bad = daemon.client(), daemon.client(5)
    bad.sock.sendall(struct.pack("=4I", Op.READ, 1, 0, length))
    assert bad.hung_up()
    assert good.children(b"/") == [b"tool"]
    assert daemon.client(5).request(Op.GET_DOMAIN_PATH, b"5\0") == b"/local/domain/5\0"


def test_what_came_before_the_impossible_length_is_done(daemon: Daemon) -> None:
    bad = daemon.client()
    bad.sock.sendall(Packet(Op.WRITE, 1, 0, b"/a\0001").encode() + b"\xff" * 16)
    assert bad.hung_up()
    assert daemon.client().read(b"/a") == b"1"


def test_a_hang_up_takes_watches_and_transactions_along(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(Limits(watches=1, transactions=1))
    for _ in range(3):
        client = daemon.client(5)
        client.watch(b"a", b"t")
        client.start()
        client.sock.sendall(b"\0" * 7)
        client.close()
    assert daemon.client(5).start() > 0


def test_a_guest_has_a_bounded_number_of_connections(make_daemon: MakeDaemon) -> None:
    daemon = make_daemon(Limits(connections=2))
    first, _second = daemon.client(5), daemon.client(5)
    first.request(Op.GET_DOMAIN_PATH, b"5\0")
    assert daemon.client(5).hung_up()
    assert daemon.client(6).request(Op.GET_DOMAIN_PATH, b"6\0")
    for _ in range(5):
        daemon.client().children(b"/")
    first.close()
    wait_until(lambda: daemon.connections(5) == 1)
    assert daemon.client(5).request(Op.GET_DOMAIN_PATH, b"5\0")


def test_a_released_domain_is_disconnected(daemon: Daemon) -> None:
    guest, dom0 = daemon.client(5), daemon.client()
    guest.request(Op.GET_DOMAIN_PATH, b"5\0")
    dom0.watch(b"@releaseDomain", b"t")
    dom0.wait_event()
    daemon.server.call(lambda server: server.release(Domid(5)))
    assert guest.hung_up()
    assert dom0.wait_event() == (b"@releaseDomain", b"t")
    with pytest.raises(FileNotFoundError):
        daemon.client(5)
    daemon.add(5)
    assert daemon.client(5).request(Op.GET_DOMAIN_PATH, b"5\0")


def test_release_by_request_disconnects_and_introduce_resets(daemon: Daemon) -> None:
    guest, dom0 = daemon.client(5), daemon.client()
    dom0.write(b"/a")
    dom0.chmod(b"/a", b"r0")
    guest.watch(b"/a", b"t")
    guest.wait_event()
    dom0.request(Op.INTRODUCE, b"5\x001\x001\0")
    dom0.write(b"/a")
    guest.request(Op.GET_DOMAIN_PATH, b"5\0")
    assert guest.events == []
    dom0.request(Op.RELEASE, b"5\0")
    assert guest.hung_up()


def test_nobody_waits_when_descriptors_run_out(daemon: Daemon) -> None:
    client = daemon.client()
    client.children(b"/")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(highest)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(held) + 1, hard))
        for sock in waiting:
            sock.settimeout(10)
            sock.connect(daemon.path())
            assert sock.recv(1) == b""
        assert client.children(b"/") == [b"tool"]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)
        for sock in waiting:
            sock.close()
    assert daemon.client().children(b"/") == [b"tool"]


def test_only_its_user_can_connect(daemon: Daemon) -> None:
    assert stat.S_IMODE(os.stat(daemon.path()).st_mode) == 0o600


def test_a_stale_socket_is_replaced_and_anything_else_is_not() -> None:
    with tempfile.TemporaryDirectory(prefix="xs") as directory, XenStoreThread() as server:
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(f"{directory}/s")
        stale.close()
        server.call(lambda it: it.listen(f"{directory}/s", DOM0))
        with SocketClient(f"{directory}/s") as client:
            client.write(b"/a")
        with fails(errno.EADDRINUSE):
            server.call(lambda it: it.listen(f"{directory}/t", DOM0))
        with open(f"{directory}/file", "w") as file:
            file.write("kept")
        with fails(errno.EADDRINUSE):
            server.call(lambda it: it.listen(f"{directory}/file", Domid(9)))
        with fails(errno.ENAMETOOLONG):
            server.call(lambda it: it.listen(f"{directory}/{'x' * 108}", Domid(9)))
        with fails(errno.EINVAL):
            server.call(lambda it: it.release(DOM0))
        server.call(lambda it: it.unlisten(Domid(9)))
        assert os.listdir(directory) == ["s", "file"] or os.listdir(directory) == ["file", "s"]


def test_the_toolstack_in_the_servers_process(daemon: Daemon) -> None:
    client = daemon.client()
    client.watch(b"/vm", b"t")
    client.wait_event()
    call = daemon.server.call
    call(lambda server: server.tree.write("/vm/5", b"x", ["n5", "r6"]))
    assert client.wait_event() == (b"/vm/5", b"t")
    assert client.permissions(b"/vm/5") == b"n5,r6"
    assert call(lambda server: server.tree.read("/vm/5")) == b"x"
    call(lambda server: server.tree.mkdir("/vm/5/dir", ["r0"]))
    assert call(lambda server: server.tree.children("/vm/5")) == ["dir"]
    assert call(lambda server: server.tree.permissions("/vm/5/dir")) == ["r0"]
    call(lambda server: server.tree.remove("/vm/5"))
    assert call(lambda server: server.tree.exists("/vm/5")) is False
    with fails(errno.ENOENT):
        call(lambda server: server.tree.read("/vm/5"))
    with fails(errno.EINVAL):
        call(lambda server: server.tree.write("/vm//5", b""))
