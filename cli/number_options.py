"""What the number commands share: options, how moments and owners are written, who acts."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from cli import opened

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from config.site_policy import SitePolicy
    from config.site_pools import Forbidden
    from datasets.inventory import Span, WithheldSpan

Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Number = Annotated[str, typer.Argument(help="The number, with its country code.")]
PoolName = Annotated[str, typer.Argument(help="The pool's name, as 'numbers pools' shows it.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the number's history.")]
_SPAN = re.compile(r"\+(\d{1,5})d")


@contextmanager
def writing() -> Iterator[tuple[Connection, datetime]]:
    """Open a write transaction in the name of whoever runs the command; gives the moment too."""
    from engine import inventory

    with opened.database() as database, inventory.acting_as(actor()), database.write() as connection:
        yield connection, datetime.now(UTC)


def actor() -> str:
    """Name the operating-system user of the command line."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return "command line"


def owner_of(text: str) -> str:
    """Write an owner as the inventory does: `user:ID` and `person:EMPLOYEE` stay, other text is an employee number."""
    from config.errors import InputRefused

    plain = text.strip()
    if not plain or len(plain) > 300:
        raise InputRefused("the owner is empty or too long", remedy="name an employee number, user:ID or person:NUMBER")
    return plain if ":" in plain else f"person:{plain}"


def moment(text: str | None, now: datetime) -> datetime | None:
    """Read a date, a moment or `+30d`; a date ends with its day in UTC. Raises InputRefused for what is over."""
    from config.errors import InputRefused

    if not text:
        return None
    if match := _SPAN.fullmatch(text.strip()):
        return now + timedelta(days=int(match[1]))
    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InputRefused(f"{text!r} is no moment", remedy="write 2027-01-31, 2027-01-31T17:00Z or +30d") from error
    if len(text.strip()) == len("2027-01-31"):
        read += timedelta(days=1)
    read = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    if read <= now:
        raise InputRefused(f"{text} is over already", remedy="choose a later moment")
    return read


def past_moment(text: str) -> datetime:
    """Read a day (its end, in UTC) or a moment that may be over. Raises InputRefused."""
    from config.errors import InputRefused

    try:
        read = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InputRefused(f"{text[:60]!r} is no moment", remedy="write 2027-01-31 or 2027-01-31T17:00Z") from error
    if len(text.strip()) == len("2027-01-31"):
        read += timedelta(days=1, microseconds=-1)
    return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)


def spans(texts: Sequence[str]) -> tuple[Span, ...]:
    """Read ranges. Raises InputRefused."""
    from datasets.range_text import read_span

    return tuple(read_span(text) for text in texts)


def withheld(texts: Sequence[str]) -> tuple[WithheldSpan, ...]:
    """Read ranges to withhold, each perhaps with `=reason` behind it. Raises InputRefused."""
    from datasets.inventory import WithheldSpan
    from datasets.range_text import read_span

    found = []
    for text in texts:
        # `;ext=12` has a sign of its own; a reason follows the last one after the last digit.
        match = re.fullmatch(r"(?P<span>.*?\d)\s*=(?P<reason>[^=]*\D[^=]*)", text)
        span = read_span(match["span"] if match else text)
        reason = match["reason"].strip() if match else "withheld by command"
        found.append(WithheldSpan(start=span.start, end=span.end, reason=reason))
    return tuple(found)


def site_policy() -> SitePolicy | None:
    """Read the site policy; None where there is none."""
    from config.settings import read_settings
    from config.site_policy import read_site

    folder = read_settings().site
    return read_site(folder) if folder.is_dir() else None


def forbidden() -> tuple[Forbidden, ...]:
    """Read what countries forbid from the site policy; nothing where there is none."""
    site = site_policy()
    return site.forbidden if site else ()


def templates_of(pool: str) -> list[str]:
    """Name the templates of the site policy that take numbers from a pool."""
    site = site_policy()
    return [template.name for template in site.templates if pool in template.pools] if site else []
