"""The encoders in wire.py, and the packers of records that have a length before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.ninep import fields as f
from tools.codegen.writer import LINE, Writer, codes_of, is_flat, local, qid_locals, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


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
