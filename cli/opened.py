"""What commands open: settings and our database. Everything heavy is imported here, when a command asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors.database import Database


@contextmanager
def database() -> Iterator[Database]:
    """Open our database. A new one gets its tables; one of another schema is refused with InputRefused."""
    from connectors import schema

    with any_database() as opened:
        if schema.revision(opened).is_empty:
            schema.upgrade(opened)
        schema.require(opened)
        yield opened


@contextmanager
def database_if_ready() -> Iterator[Database | None]:
    """Open our database when it can be used as it is; None when it is new, of another schema or out of reach."""
    from config.errors import InputRefused
    from connectors import schema
    from connectors.errors import ConnectorError

    with ExitStack() as stack:
        try:
            found = stack.enter_context(any_database())
            is_ready = schema.revision(found).is_current
        except (ConnectorError, InputRefused):
            is_ready = False
        yield found if is_ready else None


@contextmanager
def any_database() -> Iterator[Database]:
    """Open our database whatever its schema is."""
    from config.settings import read_settings
    from connectors.database import Database

    settings = read_settings()
    opened = Database(settings.database_address(), wait_for_writer_s=settings.database_wait_s)
    try:
        yield opened
    finally:
        opened.close()
