"""The two xenbus tables against each other: they connect, close, and come back from any state."""

from __future__ import annotations

import itertools

import pytest

from protocol.xenpv.xenbus import BACKEND, FRONTEND, Action, XenbusState

S = XenbusState


def settle(backend: XenbusState, frontend: XenbusState) -> tuple[S, S, list[Action]]:
    """Let both ends step until neither table asks for anything."""
    actions: list[Action] = []
    for _ in range(12):
        if step := BACKEND.get((backend, frontend)):
            backend = step.next
        elif step := FRONTEND.get((frontend, backend)):
            frontend = step.next
        else:
            return backend, frontend, actions
        actions.append(step.action)
    raise AssertionError(f"no rest: {actions}")


def test_a_new_device_connects_in_the_order_of_the_specification() -> None:
    backend, frontend, actions = settle(S.INITIALISING, S.INITIALISING)
    assert (backend, frontend) == (S.CONNECTED, S.CONNECTED)
    assert actions == [Action.ANNOUNCE, Action.PUBLISH, Action.CONNECT, Action.OPEN]


def test_a_frontend_that_published_before_it_was_asked_connects_all_the_same() -> None:
    # Mini-OS writes its nodes and state 3 without waiting for InitWait.
    assert settle(S.INITIALISING, S.INITIALISED)[:2] == (S.CONNECTED, S.CONNECTED)


def test_a_frontend_that_closes_takes_the_backend_with_it() -> None:
    backend, frontend, actions = settle(S.CONNECTED, S.CLOSING)
    assert (backend, frontend) == (S.CLOSED, S.CLOSED)
    assert actions == [Action.DISCONNECT, Action.SHUT, Action.CLOSE]


def test_a_backend_asked_to_close_takes_the_frontend_with_it() -> None:
    assert settle(S.CLOSING, S.CONNECTED)[:2] == (S.CLOSED, S.CLOSED)


@pytest.mark.parametrize("backend", [S.CONNECTED, S.CLOSING, S.CLOSED])
def test_a_frontend_that_starts_over_connects_again(backend: S) -> None:
    end, frontend, actions = settle(backend, S.INITIALISING)
    assert (end, frontend) == (S.CONNECTED, S.CONNECTED)
    assert (Action.DISCONNECT in actions) == (backend is S.CONNECTED)


@pytest.mark.parametrize("backend", [S.CONNECTED, S.CLOSING])
def test_a_frontend_that_is_gone_closes_the_backend(backend: S) -> None:
    assert settle(backend, S.UNKNOWN)[0] is S.CLOSED


def test_no_pair_of_states_makes_the_tables_go_round_in_circles() -> None:
    for backend, frontend in itertools.product(S, S):
        settle(backend, frontend)


def test_the_serving_worker_is_always_stopped_before_another_starts() -> None:
    for backend, frontend in itertools.product(S, S):
        _, _, actions = settle(backend, frontend)
        serving = backend is S.CONNECTED
        for action in actions:
            if action is Action.CONNECT:
                assert not serving
                serving = True
            elif action is Action.DISCONNECT:
                serving = False


@pytest.mark.parametrize(
    ("value", "state"),
    [(b"1", S.INITIALISING), (b"6", S.CLOSED), (b"8", S.RECONFIGURED)]
    + [
        (value, S.UNKNOWN)
        for value in (b"", b"0", b"9", b"04", b"4 ", b"-4", b"four", b"12", b"4" * 4000, b"\xff")
    ],
)
def test_a_state_is_one_digit(value: bytes, state: S) -> None:
    assert S.parse(value) is state
