"""The supervisor's decisions, as properties over all pairs of states and whole conversations."""

from __future__ import annotations

import itertools

import pytest

from backend.supervisor.policy import Export, Move, View, WorkerPhase, last_move, next_move
from protocol.xenpv.xenbus import XenbusState as S

NONE, STARTING, SERVING, STOPPING = (
    WorkerPhase.NONE,
    WorkerPhase.STARTING,
    WorkerPhase.SERVING,
    WorkerPhase.STOPPING,
)


SAYS = {
    Move.ANNOUNCE: S.INIT_WAIT,
    Move.SAY_CONNECTED: S.CONNECTED,
    Move.SAY_CLOSING: S.CLOSING,
    Move.SAY_CLOSED: S.CLOSED,
}
BECOMES = {Move.START: STARTING, Move.STOP: STOPPING}
IN_TIME = {STARTING: SERVING, STOPPING: NONE}
ALL_PAIRS = list(itertools.product(S, S))


def play(own: S, frontend: S, worker: WorkerPhase = NONE) -> tuple[list[Move], S, WorkerPhase]:
    """Carry out moves, each with success, until nothing is left to do."""
    moves: list[Move] = []
    export = Export.UNCHECKED
    for _ in range(20):
        move = next_move(View(own, frontend, worker, export))
        if move is not Move.WAIT:
            moves.append(move)
            own = SAYS.get(move, own)
            worker = BECOMES.get(move, worker)
            export = Export.CHECKING if move is Move.CHECK else export
        elif export is Export.CHECKING:
            export = Export.GOOD
        elif worker in IN_TIME:
            worker = IN_TIME[worker]
        else:
            return moves, own, worker
    raise AssertionError(f"runs in a circle: {moves}")


def test_new_device_waits_for_its_frontend() -> None:
    assert play(S.INITIALISING, S.INITIALISING) == ([Move.CHECK, Move.ANNOUNCE], S.INIT_WAIT, NONE)


def test_frontend_that_is_ready_is_served_before_we_say_connected() -> None:
    assert play(S.INIT_WAIT, S.INITIALISED) == (
        [Move.START, Move.SAY_CONNECTED],
        S.CONNECTED,
        SERVING,
    )


@pytest.mark.parametrize("frontend", [S.CLOSED, S.UNKNOWN])
def test_frontend_that_goes_is_followed(frontend: S) -> None:
    moves, own, worker = play(S.CONNECTED, frontend, SERVING)
    assert moves == [Move.STOP, Move.SAY_CLOSING, Move.SAY_CLOSED]
    assert (own, worker) == (S.CLOSED, NONE)


def test_frontend_that_comes_back_starts_afresh() -> None:
    moves, own, worker = play(S.CONNECTED, S.INITIALISING, SERVING)
    assert moves == [Move.STOP, Move.SAY_CLOSING, Move.SAY_CLOSED, Move.CHECK, Move.ANNOUNCE]
    assert (own, worker) == (S.INIT_WAIT, NONE)


def test_unplug_by_the_toolstack_stops_the_worker_and_waits_for_the_frontend() -> None:
    assert play(S.CLOSING, S.CONNECTED, SERVING) == ([Move.STOP], S.CLOSING, NONE)
    assert play(S.CLOSING, S.CLOSED) == ([Move.SAY_CLOSED], S.CLOSED, NONE)


def test_an_unplugged_device_whose_frontend_never_connected_stays_closed() -> None:
    for export in Export:
        view = View(S.CLOSED, S.INITIALISING, NONE, export, online=False)
        assert next_move(view) is Move.WAIT


def test_connected_without_a_worker_is_taken_back() -> None:
    assert next_move(View(S.CONNECTED, S.CONNECTED, NONE, Export.GOOD)) is Move.SAY_CLOSING


def test_frontend_that_changes_its_mind_while_the_worker_starts() -> None:
    assert next_move(View(S.INIT_WAIT, S.INITIALISING, STARTING, Export.GOOD)) is Move.STOP
    assert next_move(View(S.INIT_WAIT, S.INITIALISED, STARTING, Export.GOOD)) is Move.WAIT


@pytest.mark.parametrize("own", [S.INITIALISING, S.CLOSED])
def test_only_a_good_path_is_announced_and_a_refused_one_not_checked_again(own: S) -> None:
    moves = [next_move(View(own, S.INITIALISING, NONE, export)) for export in Export]
    assert moves == [Move.CHECK, Move.WAIT, Move.ANNOUNCE, Move.REFUSE, Move.WAIT]


@pytest.mark.parametrize(("own", "frontend"), ALL_PAIRS)
@pytest.mark.parametrize("worker", WorkerPhase)
def test_nothing_runs_in_a_circle_and_no_claim_is_false(
    own: S, frontend: S, worker: WorkerPhase
) -> None:
    _moves, end, phase = play(own, frontend, worker)
    assert (end is S.CONNECTED) == (phase is SERVING)


@pytest.mark.parametrize(("own", "frontend"), ALL_PAIRS)
def test_a_worker_is_started_only_without_one_and_let_go_before_closing(
    own: S, frontend: S
) -> None:
    for worker in (STARTING, SERVING, STOPPING):
        move = next_move(View(own, frontend, worker, Export.GOOD))
        assert move not in {
            Move.START,
            Move.CHECK,
            Move.ANNOUNCE,
            Move.SAY_CLOSING,
            Move.SAY_CLOSED,
        }
    assert next_move(View(own, frontend, NONE, Export.GOOD)) not in {Move.STOP, Move.SAY_CONNECTED}


@pytest.mark.parametrize(("own", "frontend"), ALL_PAIRS)
@pytest.mark.parametrize("worker", WorkerPhase)
def test_a_supervisor_that_leaves_starts_nothing_and_claims_nothing(
    own: S, frontend: S, worker: WorkerPhase
) -> None:
    move = last_move(View(own, frontend, worker, Export.UNCHECKED))
    assert move in {Move.WAIT, Move.STOP, Move.SAY_CLOSING, Move.SAY_CLOSED}
    if own is S.CONNECTED:
        assert (move is Move.WAIT) == (worker is STOPPING)
