"""What a site file refers to instead of holding it: secrets in variables or files, and files by their paths."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from protected import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping


class BadSiteFileError(Exception):
    """A site file is wrong; the message names file, key, what was found and what would be right."""


def secret_at(path: Path, key: str, reference: Mapping[str, str], *, exact: bool = False) -> Secret:
    """Read a secret; ``exact`` takes one line end off a file, for a password may begin or end with white space.

    Raises BadSiteFileError, which names the place and never what stands there.
    """
    if "env" in reference:
        value = os.environ.get(reference["env"], "")
        if not value:
            raise BadSiteFileError(f"{path.name}: {key}: environment variable {reference['env']} is not set")
        return Secret(value)
    file = file_at(path, f"{key}.file", reference["file"])
    assert file is not None
    try:
        text = file.read_bytes().decode()
        value = text.removesuffix("\n").removesuffix("\r") if exact else text.strip()
    except (OSError, ValueError) as error:
        raise BadSiteFileError(f"{path.name}: {key}.file: {file} cannot be read as text: {error}") from error
    if not value:
        raise BadSiteFileError(f"{path.name}: {key}.file: {file} is empty; write the secret into it")
    return Secret(value)


def file_at(path: Path, key: str, name: str | None) -> Path | None:
    """Return the absolute path of a file that is named relative to the site file; None where none is named.

    Raises BadSiteFileError when there is no such file.
    """
    if name is None:
        return None
    file = path.parent / Path(name).expanduser()
    if not file.is_file():
        raise BadSiteFileError(f"{path.name}: {key}: {name} is not a file; write the path of one that exists")
    return file.resolve()
