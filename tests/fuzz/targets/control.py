"""Fuzzes what the supervisor hears from a worker, which may be the guest's by then."""

from __future__ import annotations

from backend.worker.control import ControlError, pack, unpack
from tests.fuzz.target import Target


def run(data: bytes) -> None:
    """The bytes are a packet."""
    try:
        message = unpack(data)
    except ControlError:
        return
    assert unpack(pack(message)) == message


TARGET = Target(
    "control",
    "A packet is one of our messages, which packs and unpacks to itself, or it is a ControlError; "
    "nothing else is ever raised.",
    run,
)
