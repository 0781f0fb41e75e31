"""Files of the PowerShell host that cmdlets name by path: the folder `files` beside the call log."""

from __future__ import annotations

import re
from pathlib import Path

from lab.parts import LabParts
from lab.rules import not_found

FOLDER = "files"


def text_of(parts: LabParts, path: str) -> str:
    """Read a text file; only the last part of the path counts, so that nothing outside of the folder can be named."""
    name = re.split(r"[\\/]", path)[-1]
    file = Path(parts.calls.path).parent / FOLDER / name
    if name in ("", ".", "..") or not file.is_file():
        raise not_found(f"Could not find file '{path}'.")
    return file.read_text("utf-8-sig", errors="replace")
