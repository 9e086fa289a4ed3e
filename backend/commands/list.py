"""``list``: the devices that XenStore knows, whether a supervisor runs or not."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

from backend.commands.domain_option import add_domain, domid_of
from backend.commands.options import add_config, load_config
from backend.commands.stores import open_store
from backend.commands.table import print_columns, printable

if TYPE_CHECKING:
    import argparse

    from backend.devices import Listed

HELP = "list all devices in XenStore, whether a supervisor runs or not (what they did: status)"
EXAMPLE = "xen-fileproxy list guest1 --json"

_COLUMNS: Final = ("domain", "domid", "devid", "tag", "state", "frontend", "path")
_NUMBERS: Final = ("domid", "devid")
_WHITE: Final = "-"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    add_domain(parser, nargs="?")
    parser.add_argument("--json", action="store_true", help="print a list of objects, as JSON")
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    """Read and print."""
    from backend.devices import list_devices
    from backend.domains import domain_name

    with open_store(load_config(args).platform) as (store, own):
        domid = None if args.domain is None else domid_of(store, args.domain)
        devices = [
            _document(device, domain_name(store, device.key.domid))
            for device in list_devices(store, own, domid)
        ]
    if args.json:
        sys.stdout.write(json.dumps(devices, indent=2) + "\n")
        return 0
    if not devices:
        sys.stdout.write("no devices\n")
        return 0
    rows = [{name: _shown(device[name]) for name in _COLUMNS} for device in devices]
    print_columns(rows, _COLUMNS, set(_COLUMNS) - set(_NUMBERS))
    for device in devices:
        if device["error"] is not None:
            name = f"{device['domid']}/{device['devid']}"
            sys.stdout.write(f"{name}: closed: {_shown(device['error'])}\n")
    return 0


def _document(device: Listed, domain: str | None) -> dict[str, object]:
    return {
        "domain": domain,
        "domid": device.key.domid,
        "devid": device.key.devid,
        "tag": device.tag,
        "state": device.state.name.lower(),
        "frontend": device.frontend.name.lower(),
        "path": device.path,
        "error": device.error,
    }


def _shown(value: object) -> str:
    return _WHITE if value is None else printable(str(value))
