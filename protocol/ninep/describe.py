"""The whole protocol as Markdown, drawn from the schema: ``docs/protocol.md``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from protocol.ninep import describe_device, flags
from protocol.ninep import fields as f
from protocol.ninep.codec import HEADER_SIZE
from protocol.ninep.schema import GROUPS, In
from protocol.ninep.table import table, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from protocol.ninep.schema import Group

_BY_NUMBER: Final = {message.number: message for message in f.MESSAGES}

_INTRODUCTION: Final = """\
# The protocol

Drawn from the code: `xen-fileproxy describe` prints this page. The messages are those of
`protocol/ninep/schema.py`, the device is that of `protocol/xenpv`.

A guest and Dom0 share pages of memory. In them lie rings of bytes, and through the rings go 9P
messages: the guest asks, Dom0 answers. [The device](#the-device) says how the two find each other
and what the pages hold; the rest of this page is 9P.

## A message

```
size[4] type[1] tag[2] field...
```

`name[n]` is an unsigned integer of `n` bytes, least significant byte first. `size` counts the whole
message, itself too, and so is never less than 7. `type` says which message it is: an even number is
a request (`T...`), the odd one above it its reply (`R...`). The client chooses a `tag` for each
request in flight, the reply carries it back, and so replies may come in any order.

A client names a file by a `fid`, a number it chooses itself: Tattach makes one for the root, Twalk
makes further ones, Tclunk forgets one. A request that fails is answered by Rlerror in 9P2000.L and
by Rerror in 9P2000.u.

Tversion settles the dialect and `msize`, the longest message that either end may send from then on.
No number means different things in the two dialects.

## Types
"""

_STRING: Final = """\
| notation | on the wire |
|---|---|
| `name[1]`, `name[2]`, `name[4]`, `name[8]` | unsigned integer, little-endian |
| `name[s]` | `length[2]` and that many bytes, without a zero at the end; no encoding is implied |
| `name[13]` | a [qid](#the-qid) |
| `n[2] n*(name[s])` | a count, and so many of what is in brackets; at most 16 |
| `data[count]` | as many bytes as the field `count` says |

"""

_TITLES: Final = {
    "Qid": "The qid",
    "Stat": "The stat record",
    "Dirent": "The directory entry",
}
"""Other words than the operations' headings have, so that a link finds the right one."""

_VALUES: Final = (
    ("qid.type", "QT", "02x"),
    ("Tlopen.flags, Tlcreate.flags", "DOTL_", "o"),
    ("Topen.mode, Tcreate.mode", "O", "02x"),
    ("Tcreate.perm, stat.mode", "DM", "08x"),
    ("Tgetattr.request_mask, Rgetattr.valid", "GETATTR_", "04x"),
    ("Tsetattr.valid", "SETATTR_", "03x"),
    ("Tunlinkat.flags", "AT_", "03x"),
    ("Txattrcreate.flags", "XATTR_", "d"),
    ("Tlock.type, Tlock.flags, Rlock.status", "LOCK_", "d"),
    ("dirent.type", "DT_", "d"),
)
_BASES: Final = {"x": "0x", "o": "0o", "d": ""}


def text() -> str:
    """The page, ending in a newline."""
    parts = [
        _INTRODUCTION,
        _STRING,
        *(_record(record) for record in f.RECORDS),
        "## Messages\n",
        _overview(),
        *(part for group in GROUPS for part in _group(group)),
        "## Values\n",
        *(_values(*line) for line in _VALUES),
        describe_device.text(),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def _record(record: f.Record) -> str:
    notation = " ".join(_notation(field) for field in record.fields)
    if record.lengths:
        notation = "size[2] " + notation
    title = f"### {_TITLES[record.name]}"
    lines = [title, "", record.doc, "", "```", *wrapped(notation), "```", "", ""]
    rows = [row[1:] for row in _rows("", record.fields, 2 if record.lengths else 0)]
    return "\n".join(lines) + table(("field", "at", "bytes", "meaning"), rows)


def _notation(field: f.Field) -> str:
    """The field as the manuals write it: ``name[size]``."""
    match field.kind:
        case f.String():
            return f"{field.name}[s]"
        case f.Listing(element=element):
            count, one = f"n{field.name}"[:-1], field.name[:-1]
            size = "s" if isinstance(element, f.String) else f.fixed_size(element)
            return f"{count}[2] {count}*({one}[{size}])"
        case f.Payload():
            return f"{field.name}[count]"
        case f.Record(lengths=2):
            return f"n[2] {field.name}[n]"
        case kind:
            return f"{field.name}[{f.fixed_size(kind)}]"


def _rows(name: str, fields: Iterable[f.Field], start: int) -> Iterator[tuple[str, ...]]:
    """A row a field; its offset as long as nothing before it varies in length."""
    at: int | None = start
    for field in fields:
        size = f.fixed_size(field.kind)
        where = "" if at is None else str(at)
        yield name, f"`{field.name}`", where, _bytes(field.kind), field.doc
        at = None if at is None or size is None else at + size


def _bytes(kind: f.Kind) -> str:
    match kind:
        case f.String():
            return "2 + length"
        case f.Listing(element=f.String()):
            return "2 + strings"
        case f.Listing(element=element):
            return f"2 + {f.fixed_size(element)} each"
        case f.Payload():
            return "count"
        case f.Record(lengths=2):
            return "2 + n"
        case _:
            return str(f.fixed_size(kind))


def _operation(name: str) -> str:
    """What a request and its reply are called together."""
    return name[1:]


def _dialects(dialects: In) -> str:
    return {In.DOTL: "9P2000.L", In.DOTU: "9P2000.u", In.BOTH: "both"}[dialects]


def _overview() -> str:
    rows = [
        (
            str(m.number),
            f"[{m.name}](#{_operation(m.name)})",
            _dialects(m.schema.dialects),
            m.schema.doc,
        )
        for m in f.MESSAGES
    ]
    return table(("type", "message", "dialect", ""), rows)


def _group(group: Group) -> Iterator[str]:
    yield f"## {group.title}\n"
    operations: dict[str, list[f.Message]] = {}
    for schema in group.messages:
        messages = operations.setdefault(_operation(schema.name), [])
        messages.append(_BY_NUMBER[schema.number])
    for operation, messages in operations.items():
        yield _section(operation, messages)


def _section(operation: str, messages: list[f.Message]) -> str:
    lines = [f"### {operation}", ""]
    numbers = ", ".join(f"{m.name} is {m.number}" for m in messages)
    lines += [f"{numbers}; {_in_words(messages[0].schema.dialects)}.", ""]
    lines += [f"- **{m.name}**: {m.schema.doc}" for m in messages]
    lines += ["", "```"]
    for message in messages:
        fields = " ".join(_notation(field) for field in message.fields)
        lines += wrapped(f"size[4] {message.name} tag[2] {fields}".rstrip())
    lines += ["```", ""]
    rows = [row for m in messages for row in _rows(m.name, m.fields, HEADER_SIZE)]
    return "\n".join(lines) + "\n" + table(("message", "field", "at", "bytes", "meaning"), rows)


def _in_words(dialects: In) -> str:
    return "both dialects" if dialects is In.BOTH else f"{_dialects(dialects)} only"


def _values(where: str, prefix: str, form: str) -> str:
    base = _BASES[form[-1]]
    rows = [
        (f"`{name}`", f"`{base}{value:{form}}`")
        for name, value in vars(flags).items()
        if name.startswith(prefix) and isinstance(value, int)
    ]
    return f"### {where}\n\n" + table(("name", "value"), rows)
