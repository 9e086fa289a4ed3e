"""Writes protocol/ninep/messages.py and wire.py from the schema; ``--check``: are they stale?

The code written is straight-line: one ``struct`` call for each run of numbers, one slice for each
string, one check of the end.  ``tests/protocol/ninep`` proves it equal to the schema.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from protocol.ninep import fields as f  # noqa: E402 -- the path above makes it importable
from protocol.ninep.schema import In  # noqa: E402 -- as above

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LINE = 100
HEADER = 7
"""Bytes of size[4] type[1] tag[2]."""
REMEDY = "python tools/generate_codec.py"


# --- messages.py -----------------------------------------------------------------------------

MESSAGES_HEAD = '''\
"""The messages of 9P2000.L and 9P2000.u as immutable tuples.

GENERATED from schema.py by tools/generate_codec.py: do not edit.  The first field is the tag, the
others follow in wire order.  Strings are ``bytes``; file data and directory entries travel beside
the message and only their ``count`` is in it.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from protocol.ninep.ids import Fid, Tag  # noqa: TC001 -- for typing.get_type_hints
'''

TYPE_NUMBERS_TEXT = '''\
TYPE_NUMBERS: dict[type[Message], int] = {t: n for n, t in MESSAGE_TYPES.items()}
"""The type number of each class."""
'''
REPLIES_DOC = '"""The reply to a request that succeeded."""\n'


def python_type(kind: f.Kind) -> str:
    """The annotation of a field."""
    match kind:
        case f.Number(python=name):
            return name
        case f.String():
            return "bytes"
        case f.Record(name=name):
            return name
        case f.Listing(element=element):
            return f"tuple[{python_type(element)}, ...]"
        case f.Payload():
            raise AssertionError


def visible(fields: Iterable[f.Field]) -> list[f.Field]:
    """The fields that the tuple has: all but the payload."""
    return [field for field in fields if not isinstance(field.kind, f.Payload)]


def class_text(name: str, doc: str, fields: Iterable[f.Field], *, tagged: bool) -> str:
    """One NamedTuple."""
    lines = [f"class {name}(NamedTuple):", f'    """{doc}"""', ""]
    if tagged:
        lines.append("    tag: Tag")
    for field in visible(fields):
        clash = "  # type: ignore[assignment]  # tuple.count" if field.name == "count" else ""
        lines.append(f"    {field.name}: {python_type(field.kind)}{clash}")
    return "\n".join(lines) + "\n"


def union_text(name: str, members: list[str]) -> str:
    """A type alias, one member a line."""
    inner = "\n    | ".join(members)
    return f"{name}: TypeAlias = (\n    {inner}\n)\n"


def set_text(name: str, members: list[str]) -> str:
    """A frozenset of request classes."""
    inner = "".join(f"        {member},\n" for member in members)
    return f"{name}: frozenset[type[Request]] = frozenset(\n    {{\n{inner}    }}\n)\n"


def messages_text() -> str:
    """The whole of messages.py."""
    parts = [MESSAGES_HEAD]
    parts += [class_text(r.name, r.doc, r.fields, tagged=False) for r in f.RECORDS]
    parts += [class_text(m.name, m.schema.doc, m.fields, tagged=True) for m in f.MESSAGES]
    classes = "\n\n".join(parts)
    requests = [m for m in f.MESSAGES if m.is_request]
    replies = [m for m in f.MESSAGES if not m.is_request]
    by_number = {m.number: m for m in f.MESSAGES}
    types = "".join(f"    {m.number}: {m.name},\n" for m in f.MESSAGES)
    pairs = "".join(f"    {m.name}: {by_number[m.number + 1].name},\n" for m in requests)
    tables = [
        union_text("Request", [m.name for m in requests]),
        union_text("Reply", [m.name for m in replies]),
        "Message: TypeAlias = Request | Reply\n",
        f'MESSAGE_TYPES: dict[int, type[Message]] = {{\n{types}}}\n"""By type number."""\n',
        TYPE_NUMBERS_TEXT,
        f"REPLIES: dict[type[Request], type[Reply]] = {{\n{pairs}}}\n{REPLIES_DOC}",
        set_text("DOTL_REQUESTS", [m.name for m in requests if In.DOTL in m.schema.dialects]),
        set_text("DOTU_REQUESTS", [m.name for m in requests if In.DOTU in m.schema.dialects]),
    ]
    return classes + "\n\n" + "\n".join(tables)


# --- wire.py ---------------------------------------------------------------------------------

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


class Writer:
    """Lines of one function, and the ``Struct``s that all functions share."""

    def __init__(self) -> None:
        self.structs: dict[str, str] = {}
        self.lines: list[str] = []

    def struct(self, codes: str) -> str:
        """The module-level name of ``Struct("<" + codes)``."""
        name = "_" + codes.replace("5x", "BODY_").upper()
        self.structs[name] = codes
        return name

    def add(self, line: str) -> None:
        """One line of the function's body."""
        self.lines.append("    " + line)

    def wrap(self, before: str, items: list[str], after: str, depth: int = 1) -> None:
        """A line with a bracketed list, one item a line where it would be too long."""
        indent = "    " * depth
        line = f"{indent}{before}{', '.join(items)}{after}"
        if len(line) <= LINE:
            self.lines.append(line)
            return
        self.lines.append(f"{indent}{before}")
        self.lines += [f"{indent}    {item}," for item in items]
        self.lines.append(f"{indent}{after}")

    def assign(self, names: list[str], value: str) -> None:
        """``a, b = value``, in brackets only where that would be too long."""
        targets = ", ".join(names) if len(names) > 1 else f"({names[0]},)"
        line = f"    {targets} = {value}"
        if len(line) <= LINE:
            self.lines.append(line)
        else:
            self.wrap("(", names, f") = {value}")

    def make(self, variable: str, name: str, values: list[str]) -> None:
        """``variable`` becomes the NamedTuple ``name`` of ``values``."""
        short = f"{variable}: m.{name} = _new(m.{name}, ({', '.join(values)}))"
        if len(short) + 4 <= LINE:
            self.add(short)
            return
        self.wrap("values = (", values, ")")
        self.add(f"{variable}: m.{name} = _new(m.{name}, values)")


def local(name: str) -> str:
    """A local variable's name that hides no builtin."""
    return name + "_" if name in {"type", "iter", "id"} else name


def qid_locals(field: f.Field) -> list[str]:
    """The variables that hold a fixed record's numbers."""
    assert isinstance(field.kind, f.Record)
    return [f"{field.name}_{part.name}" for part in field.kind.fields]


def codes_of(record: f.Record) -> str:
    """The struct codes of a record of plain numbers."""
    return "".join(part.kind.code for part in record.fields if isinstance(part.kind, f.Number))


def value_of(field: f.Field) -> str:
    """The expression that gives a field's value from the variables unpacked for it."""
    if isinstance(field.kind, f.Record) and not field.kind.lengths:
        return f"_new(m.{field.kind.name}, ({', '.join(qid_locals(field))}))"
    return local(field.name)


def is_flat(fields: Iterable[f.Field]) -> bool:
    """Whether the fields are plain numbers, so that a struct's tuple is the message's."""
    return all(isinstance(field.kind, f.Number) for field in fields)


class Unpacking:
    """Collects a run of numbers, so that one ``unpack_from`` takes them all."""

    def __init__(self, out: Writer, codes: str, names: list[str], at: int | None) -> None:
        self.out = out
        self.codes = codes
        self.names = names
        self.at = at  # where the run starts; None: the variable ``at``

    def number(self, code: str, name: str) -> None:
        """One more number in the run."""
        self.codes += code
        self.names.append(name)

    @property
    def size(self) -> int:
        """Bytes of the run on the wire."""
        return sum(f.Number.SIZES[code] for code in self.codes.removeprefix("5x"))

    def end(self) -> str:
        """The expression for where the run ends."""
        if self.at is not None:
            return str(self.at + self.size)
        return f"at + {self.size}" if self.size else "at"

    def flush(self) -> str:
        """Write the unpacking; returns the expression for its end."""
        if self.names:
            position = {None: ", at", 5: ""}.get(self.at, f", {self.at}")
            struct = self.out.struct(self.codes)
            self.out.assign(self.names, f"{struct}.unpack_from(head{position})")
        return self.end()

    def restart(self) -> None:
        """Begin the next run at the variable ``at``."""
        self.codes, self.names, self.at = "", [], None


def unpack_fields(out: Writer, run: Unpacking, name: str, fields: Iterable[f.Field]) -> None:
    """The lines that read ``fields``; leaves what follows the last variable part in ``run``."""
    for field in fields:
        variable = local(field.name)
        match field.kind:
            case f.Number(code=code):
                run.number(code, variable)
            case f.Record(lengths=0) as record:
                for code, part in zip(codes_of(record), qid_locals(field), strict=True):
                    run.number(code, part)
            case f.Record(name=record_name):
                run.number("H", "n")
                start = run.flush()
                out.add(f"{variable}, at = read_{record_name.lower()}(head, {start})")
                out.add(f"if n != at - {start}:")
                out.add(f'    raise malformed(head, "{name}: wrong length of {field.name}")')
                run.restart()
            case f.String():
                run.number("H", "n")
                start = run.flush()
                out.add(f"at += {run.size} + n" if run.at is None else f"at = {start} + n")
                out.add(f"{variable} = head[{f'{start}:at' if run.at else 'at - n : at'}]")
                run.restart()
            case f.Listing(element=element, bound=bound):
                run.number("H", "n")
                start = run.flush()
                out.add(f"if n > {bound}:")
                reason = f"{name}: {{n}} {field.name}, at most {bound}"
                out.add(f'    raise malformed(head, f"{reason}")')
                if isinstance(element, f.Record):
                    struct = out.struct(codes_of(element))
                    out.add(f"at = {start} + {f.fixed_size(element)} * n")
                    out.add(f"records = {struct}.iter_unpack(head[{start}:at])")
                    out.add(f"{variable} = tuple([_new(m.{element.name}, r) for r in records])")
                else:
                    out.add(f"at = {start}")
                    out.add("strings = []")
                    out.add("for _ in range(n):")
                    out.add(f"    (n,) = {out.struct('H')}.unpack_from(head, at)")
                    out.add("    at += n + 2")
                    out.add("    strings.append(head[at - n : at])")
                    out.add(f"{variable} = tuple(strings)")
                run.restart()
            case f.Payload():
                pass


def decoder(out: Writer, message: f.Message) -> Iterator[str]:
    """One decoder function."""
    out.lines = []
    name, fields = message.name, message.fields
    yield f"def _decode_{name.lower()}(head: bytes, total: int) -> m.{name}:"
    values = ["tag", *(value_of(field) for field in visible(fields))]
    run = Unpacking(out, "5xH", ["tag"], 5)
    variable = any(
        isinstance(field.kind, f.String | f.Listing)
        or (isinstance(field.kind, f.Record) and field.kind.lengths)
        for field in fields
    )
    if variable:
        unpack_fields(out, run, name, fields)
        end = run.flush()
        out.add(f"if {end} != total or total != len(head):")
        out.add(f'    raise malformed(head, "{name}: wrong length")')
        out.make("message", name, values)
    else:
        unpack_fields(out, run, name, fields)
        call = "unpack_from" if message.has_payload else "unpack"
        struct = out.struct(run.codes)
        if is_flat(visible(fields)):
            out.add(f"message: m.{name} = _new(m.{name}, {struct}.{call}(head))")
        else:
            out.assign(run.names, f"{struct}.{call}(head)")
            out.make("message", name, values)
        size = run.end()
        expected = f"{size} + message.count" if message.has_payload else size
        out.add(f"if total != {expected}:")
        out.add(f'    raise malformed(head, "{name}: wrong length")')
    out.add("return message")
    yield from out.lines


def record_reader(out: Writer, record: f.Record) -> Iterator[str]:
    """A function that reads a record with a length before it."""
    out.lines = []
    last = record.fields[-1].kind
    assert isinstance(last, f.Number), "the last unpack_from is what finds a record cut short"
    low = record.name.lower()
    yield f"def read_{low}(head: bytes, at: int) -> tuple[m.{record.name}, int]:"
    yield f'    """The {record.name} at ``at`` and where it ends; ``struct.error`` if cut short."""'
    run = Unpacking(out, "H", ["size"], None)
    out.add("start = at + 2")
    unpack_fields(out, run, record.name, record.fields)
    end = run.flush()
    out.add(f"if size != {end} - start:")
    out.add(f'    raise malformed(head, "{record.name}: wrong size")')
    values = [value_of(field) for field in record.fields]
    out.make("record", record.name, values)
    out.add(f"return record, {end}")
    yield from out.lines


class Packing:
    """Collects the parts of a frame: runs of numbers, and bytes between them."""

    def __init__(self, out: Writer, codes: str, values: list[str]) -> None:
        self.out = out
        self.codes = codes
        self.values = values
        self.parts: list[str] = []
        self.fixed = sum(f.Number.SIZES[code] for code in codes)
        self.lengths: list[str] = []

    def number(self, code: str, value: str) -> None:
        """One more number in the run."""
        self.codes += code
        self.values.append(value)
        self.fixed += f.Number.SIZES[code]

    def raw(self, value: str) -> None:
        """Bytes of their own length."""
        self.flush()
        self.parts.append(value)
        self.lengths.append(f"len({value})")

    def flush(self) -> None:
        """End the run of numbers."""
        if self.codes:
            struct = self.out.struct(self.codes)
            self.parts.append(f"{struct}.pack({', '.join(self.values)})")
            self.codes, self.values = "", []

    def total(self) -> str:
        """The expression for the frame's size."""
        return " + ".join([str(self.fixed), *self.lengths])


def pack_fields(out: Writer, packing: Packing, fields: Iterable[f.Field]) -> None:
    """The parts of ``fields``, and the lines that prepare them."""
    for field in fields:
        variable = local(field.name)
        match field.kind:
            case f.Number(code=code):
                packing.number(code, variable)
            case f.Record(lengths=0) as record:
                out.add(f"{', '.join(qid_locals(field))} = {variable}")
                for code, part in zip(codes_of(record), qid_locals(field), strict=True):
                    packing.number(code, part)
            case f.Record(name=record_name):
                out.add(f"packed = pack_{record_name.lower()}({variable})")
                packing.number("H", "len(packed)")
                packing.raw("packed")
            case f.String():
                packing.number("H", f"len({variable})")
                packing.raw(variable)
            case f.Listing(element=element, bound=bound):
                out.add(f"if len({variable}) > {bound}:")
                reason = f"{{len({variable})}} {field.name}, at most {bound}"
                out.add(f'    raise ValueError(f"{reason}")')
                if isinstance(element, f.Record):
                    struct = out.struct(codes_of(element))
                    out.add(f'packed = b"".join([{struct}.pack(*r) for r in {variable}])')
                else:
                    struct = out.struct("H")
                    out.add(f'packed = b"".join([{struct}.pack(len(s)) + s for s in {variable}])')
                packing.number("H", f"len({variable})")
                packing.raw("packed")
            case f.Payload():
                packing.lengths.append("count")


def join_parts(out: Writer, packing: Packing) -> None:
    """The return of the packed parts."""
    packing.flush()
    if len(packing.parts) == 1:
        call, _, arguments = packing.parts[0][:-1].partition("(")
        out.wrap(f"return {call}(", arguments.split(", "), ")")
        return
    line = f'    return b"".join(({", ".join(packing.parts)}))'
    if len(line) <= LINE:
        out.lines.append(line)
        return
    out.add('return b"".join(')
    out.add("    (")
    for part in packing.parts:
        call, bracket, arguments = part.partition("(")
        if bracket:
            out.wrap(f"{call}(", arguments[:-1].split(", "), "),", depth=3)
        else:
            out.add(f"        {part},")
    out.add("    )")
    out.add(")")


def encoder(out: Writer, message: f.Message) -> Iterator[str]:
    """One encoder function."""
    out.lines = []
    name, fields = message.name, visible(message.fields)
    yield f"def _encode_{name.lower()}(message: m.{name}) -> bytes:"
    packing = Packing(out, "IBH", ["total", str(message.number), "tag"])
    if is_flat(fields) and not message.has_payload:
        pack_fields(out, packing, fields)
        struct = out.struct(packing.codes)
        out.add(f"return {struct}.pack({packing.fixed}, {message.number}, *message)")
    else:
        out.assign(["tag", *(local(field.name) for field in fields)], "message")
        pack_fields(out, packing, message.fields)
        out.add(f"total = {packing.total()}")
        join_parts(out, packing)
    yield from out.lines


def record_packer(out: Writer, record: f.Record) -> Iterator[str]:
    """A function that packs a record with its length before it."""
    out.lines = []
    low = record.name.lower()
    yield f"def pack_{low}(record: m.{record.name}) -> bytes:"
    yield f'    """The {record.name} with its size before it; ``struct.error`` if out of range."""'
    out.assign([local(field.name) for field in record.fields], "record")
    packing = Packing(out, "", [])
    pack_fields(out, packing, record.fields)
    size = packing.total()
    packing.flush()
    first = packing.parts[0]
    struct, _, arguments = first.partition(".pack(")
    packing.parts[0] = f"{out.struct('H' + out.structs.pop(struct))}.pack(size, {arguments}"
    out.wrap("size = sum((", size.split(" + "), "))")
    join_parts(out, packing)
    yield from out.lines


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


# --- command ---------------------------------------------------------------------------------


def main() -> int:
    """Write the files, or with ``--check`` compare them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether they are stale")
    check = parser.parse_args().check
    stale = []
    for name, text in (("messages.py", messages_text()), ("wire.py", wire_text())):
        path = ROOT / "protocol" / "ninep" / name
        if path.exists() and path.read_text() == text:
            continue
        stale.append(str(path.relative_to(ROOT)))
        if not check:
            path.write_text(text)
    if stale and check:
        print(f"stale: {', '.join(stale)}; the schema has changed: run `{REMEDY}`")
        return 1
    if stale:
        print(f"written: {', '.join(stale)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
