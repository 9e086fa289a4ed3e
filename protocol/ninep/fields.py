"""Reads the schema's construct objects back as plain field descriptions.

The code generator, the documentation and the tests all take the layout of a message from here, so
that none of them can disagree with the schema.  Not imported by a worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from protocol.ninep import schema


@dataclass(frozen=True)
class Number:
    """A little-endian unsigned integer; ``code`` is ``struct``'s, ``python`` its type."""

    code: str
    python: str

    SIZES: ClassVar[dict[str, int]] = {"B": 1, "H": 2, "I": 4, "Q": 8}

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return self.SIZES[self.code]


@dataclass(frozen=True)
class String:
    """``length[2]`` and that many bytes."""


@dataclass(frozen=True)
class Record:
    """A nested tuple; ``lengths`` 16-bit lengths come before its fields, each checked."""

    name: str
    doc: str
    fields: tuple[Field, ...]
    lengths: int = 0


@dataclass(frozen=True)
class Listing:
    """``count[2]``, at most ``bound``, and that many elements."""

    element: String | Record
    bound: int


@dataclass(frozen=True)
class Payload:
    """File data or directory entries, as many bytes as the ``count`` before them says."""


Kind = Number | String | Record | Listing | Payload


@dataclass(frozen=True)
class Field:
    """One field of a message or record, in wire order."""

    name: str
    kind: Kind
    doc: str


@dataclass(frozen=True)
class Message:
    """One message as the schema has it; ``fields`` begin after the tag."""

    schema: schema.MessageSchema
    fields: tuple[Field, ...]

    @property
    def name(self) -> str:
        """As in the specification."""
        return self.schema.name

    @property
    def number(self) -> int:
        """The type byte."""
        return self.schema.number

    @property
    def is_request(self) -> bool:
        """Whether clients send it."""
        return self.name.startswith("T")

    @property
    def has_payload(self) -> bool:
        """Whether its last field is data that the codec leaves alone."""
        return any(isinstance(field.kind, Payload) for field in self.fields)


def _fields_of(struct: object) -> tuple[Field, ...]:
    return tuple(
        Field(member.name, _KINDS[id(member.construct)], member.doc)
        for member in schema.members(struct)
    )


STRING: Final = String()

_KINDS: dict[int, Kind] = {
    id(schema.U8): Number("B", "int"),
    id(schema.U16): Number("H", "int"),
    id(schema.U32): Number("I", "int"),
    id(schema.U64): Number("Q", "int"),
    id(schema.TAG): Number("H", "Tag"),
    id(schema.FID): Number("I", "Fid"),
    id(schema.STRING): STRING,
    id(schema.PAYLOAD): Payload(),
}

QID: Final = Record(
    "Qid",
    "The server's name for a file: two files are the same if their qids are.",
    _fields_of(schema.QID),
)
_KINDS[id(schema.QID)] = QID
STAT: Final = Record(
    "Stat",
    "The attributes of a file in 9P2000.u; also an entry of a directory read there.",
    _fields_of(schema.STAT_FIELDS),
    1,
)
DIRENT: Final = Record("Dirent", "An entry of a directory in 9P2000.L.", _fields_of(schema.DIRENT))
_KINDS[id(schema.STAT_COUNTED)] = Record(STAT.name, STAT.doc, STAT.fields, 2)
_KINDS[id(schema.WNAMES)] = Listing(STRING, schema.MAXWELEM)
_KINDS[id(schema.WQIDS)] = Listing(QID, schema.MAXWELEM)

RECORDS: Final = (QID, STAT, DIRENT)
MESSAGES: Final = tuple(Message(message, _fields_of(message.body)) for message in schema.MESSAGES)


def fixed_size(kind: Kind) -> int | None:
    """Bytes of ``kind`` on the wire, or None where they vary."""
    if isinstance(kind, Number):
        return kind.size
    if isinstance(kind, Record) and not kind.lengths:
        sizes = [fixed_size(field.kind) for field in kind.fields]
        return None if None in sizes else sum(size for size in sizes if size is not None)
    return None
