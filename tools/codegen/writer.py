"""What decoders and encoders share: lines of code, shared ``Struct``s, questions to the schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.ninep import fields as f

if TYPE_CHECKING:
    from collections.abc import Iterable

LINE = 100
"""Where the formatter breaks a line: what is written here is left alone by it."""


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


def visible(fields: Iterable[f.Field]) -> list[f.Field]:
    """The fields that the tuple has: all but the payload."""
    return [field for field in fields if not isinstance(field.kind, f.Payload)]
