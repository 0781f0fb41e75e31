"""The one error for input that a person can correct; every door turns it into one line and exit code 2."""

from __future__ import annotations


class InputRefused(Exception):
    """Refuse input, naming what is wrong, where, and what to do about it."""

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(" ; ".join(part for part in (f"{where}: {what}" if where else what, remedy) if part))
