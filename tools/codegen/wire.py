"""wire.py: every decoder and encoder, and the tables that lead to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.ninep import fields as f
from tools.codegen.packing import encoder, record_packer
from tools.codegen.unpacking import decoder, record_reader
from tools.codegen.writer import Writer, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

HEADER = 7
"""Bytes of size[4] type[1] tag[2]."""

WIRE_HEAD = '''\
"""Packs and unpacks each message; ``codec.py`` is the way in.

GENERATED from schema.py by tools/generate_codec.py: do not edit.

Why a decoder cannot be fooled by a length: ``at`` only grows by lengths the frame gave, a slice
past the end is merely short, but then ``unpack_from`` raises ``struct.error`` (which codec.py
turns into ``ProtocolError``) or the last check finds that ``at`` is not the end.

``head`` is the whole frame (or, with a payload, at least what lies before it) and ``total`` the
size that the frame declared.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

from protocol.ninep import messages as m
from protocol.ninep.errors import malformed

if TYPE_CHECKING:
    from collections.abc import Callable

_new: Any = tuple.__new__
"""Makes a NamedTuple of a tuple that has the right length by construction."""

'''


def layout(message: f.Message) -> str:
    """One letter per field of the tuple, for the message of a failed encode."""
    letters = {f.String: "s", f.Listing: "l", f.Record: "r"}
    return "H" + "".join(
        field.kind.code if isinstance(field.kind, f.Number) else letters[type(field.kind)]
        for field in visible(message.fields)
    )


def wire_text() -> str:
    """The whole of wire.py."""
    out = Writer()
    with_length = [record for record in f.RECORDS if record.name == "Stat"]
    functions = [
        "\n".join(lines)
        for make in (record_reader, record_packer)
        for lines in [make(out, record) for record in with_length]
    ]
    functions += ["\n".join(decoder(out, message)) for message in f.MESSAGES]
    functions += ["\n".join(encoder(out, message)) for message in f.MESSAGES]
    structs = "".join(f'{n} = Struct("<{c}")\n' for n, c in sorted(out.structs.items()))
    fixed = [m for m in f.MESSAGES if m.has_payload]
    sizes = {m.number: HEADER + sum(f.fixed_size(x.kind) or 0 for x in m.fields) for m in fixed}

    def table(entries: Iterable[str]) -> str:
        return "{\n" + "".join(f"    {entry},\n" for entry in entries) + "}\n"

    tables = [
        "DECODERS: dict[int, Callable[[bytes, int], m.Message]] = "
        + table(f"{m.number}: _decode_{m.name.lower()}" for m in f.MESSAGES),
        "ENCODERS: dict[type[m.Message], Callable[[Any], bytes]] = "
        + table(f"m.{m.name}: _encode_{m.name.lower()}" for m in f.MESSAGES),
        "LAYOUTS: dict[type[m.Message], str] = "
        + table(f'm.{m.name}: "{layout(m)}"' for m in f.MESSAGES)
        + '"""A letter per field: struct\'s of a number; s a string, l a list, r a record."""\n',
        "FIXED_SIZE: dict[int, int] = "
        + table(f"{number}: {size}" for number, size in sizes.items())
        + '"""Bytes before the payload, of the types that have one."""\n',
    ]
    body = "\n\n\n".join(functions)
    return f"{WIRE_HEAD}{structs}\n\n{body}\n\n\n" + "\n".join(tables)
