"""ConvertTo-SecureString: the one way a script makes a secure text of its own."""

from __future__ import annotations

from collections.abc import Iterator

from lab.cmdlets import Call, Cmdlet, Parameter, needed
from lab.posh_errors import not_supported
from lab.posh_values import SecureString, Value


def convert_to_secure(call: Call) -> Iterator[Value]:
    """ConvertTo-SecureString: only from plain text, since there is no key of a Windows account here."""
    if not call.flag("AsPlainText"):
        raise call.fail(not_supported("ConvertTo-SecureString without -AsPlainText"))
    yield SecureString(call.text("String"))


SECURE = (
    Cmdlet(
        "ConvertTo-SecureString",
        convert_to_secure,
        (
            Parameter("String", position=0, sets=needed(), from_value=True),
            Parameter("AsPlainText", "switch"),
            Parameter("Force", "switch"),
        ),
        module="Microsoft.PowerShell.Security",
    ),
)
