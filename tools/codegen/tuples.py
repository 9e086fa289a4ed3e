"""messages.py: a NamedTuple for each record and message, and the tables by type and number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.ninep import fields as f
from protocol.ninep.schema import In
from tools.codegen.writer import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

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
