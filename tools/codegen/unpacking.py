"""The decoders in wire.py, and the readers of records that have a length before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.ninep import fields as f
from tools.codegen.writer import Writer, codes_of, is_flat, local, qid_locals, value_of, visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


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
