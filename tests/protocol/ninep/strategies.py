"""Hypothesis strategies for every message, drawn from the schema: a new message needs no line here.

A drawn value is the dictionary that construct builds from; ``to_message`` makes our tuple of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from protocol.ninep import fields as f
from protocol.ninep import messages

if TYPE_CHECKING:
    from collections.abc import Mapping

BY_NUMBER = {message.number: message for message in f.MESSAGES}


def numbers(size: int) -> st.SearchStrategy[int]:
    """Unsigned integers of ``size`` bytes; hypothesis prefers the ends by itself, we insist."""
    top = (1 << 8 * size) - 1
    return st.integers(0, top) | st.sampled_from([0, 1, top])


def kinds(kind: f.Kind) -> st.SearchStrategy[Any]:
    """What construct takes for one field."""
    match kind:
        case f.Number(size=size):
            return numbers(size)
        case f.String():
            return st.binary(max_size=40) | st.just(b"x" * 300)
        case f.Record(fields=fields):
            return st.fixed_dictionaries({field.name: kinds(field.kind) for field in fields})
        case f.Listing(element=element, bound=bound):
            return st.lists(kinds(element), max_size=bound)
        case f.Payload():
            return st.binary(max_size=80)


@st.composite
def bodies(draw: st.DrawFn, message: f.Message) -> dict[str, Any]:
    """The fields of ``message``; a ``count`` before a payload is the payload's length."""
    body = {field.name: draw(kinds(field.kind)) for field in message.fields}
    if message.has_payload:
        body["count"] = len(body["data"])
    return body


def to_tuple(kind: f.Kind, value: Any) -> Any:
    """Our value for what construct gives or takes."""
    match kind:
        case f.Record(name=name, fields=fields):
            parts = [to_tuple(field.kind, value[field.name]) for field in fields]
            return getattr(messages, name)(*parts)
        case f.Listing(element=element):
            return tuple(to_tuple(element, item) for item in value)
        case _:
            return value


def to_message(message: f.Message, tag: int, body: Mapping[str, Any]) -> messages.Message:
    """Our tuple for a message as construct gives or takes it."""
    visible = [field for field in message.fields if not isinstance(field.kind, f.Payload)]
    values = [to_tuple(field.kind, body[field.name]) for field in visible]
    made: messages.Message = getattr(messages, message.name)(tag, *values)
    return made
