"""A share's policies are put around its tree, each as the share says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from backend.exports import ExportError
from backend.fileserver.files import NOBODY
from backend.share import SecurityModel, Share
from backend.worker.sessions import open_tree

if TYPE_CHECKING:
    from pathlib import Path


def made(share: Share) -> set[str]:
    """The attributes that a file has which is made through the share."""
    tree = open_tree(share, (), f"{share.path}.quota")
    node, file = tree.create(tree.root, b"file", os.O_RDWR, 0o644, NOBODY)
    file.close()
    node.release()
    tree.close()
    return set(os.listxattr(os.path.join(share.path, "file")))


@pytest.mark.usefixtures("user_attributes")
def test_owners_are_kept_as_the_security_model_says(tmp_path: Path) -> None:
    for model, attributes in [
        (SecurityModel.NONE, set()),
        (SecurityModel.MAPPED_XATTR, {"user.virtfs.mode"}),
    ]:
        (tmp_path / model.value).mkdir()
        share = Share(str(tmp_path / model.value), security_model=model)
        assert made(share) == attributes


def test_a_ledger_that_cannot_be_kept_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    share = Share(str(tmp_path), max_files=5)
    with pytest.raises(ExportError, match=r"no quota in .*/file/quota: Not a directory"):
        open_tree(share, (), str(tmp_path / "file/quota"))
