"""The two plain pages of a sign-in: choose who you are, and hand the code back to the application."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import islice

from lab.records import User
from lab.tenant import Tenant

SHOWN = 25


def people(tenant: Tenant) -> list[User]:
    """Give the first people one can sign in as."""
    enabled = (user for user in tenant.view().users() if user.account_type == "user" and user.fields["accountEnabled"])
    return list(islice(enabled, SHOWN))


def page(query: Mapping[str, str], users: Sequence[User]) -> str:
    """Make the page with a button per person."""
    buttons = "".join(
        f'<p><button name="user" value="{escape(user.id)}">{escape(user.text("displayName") or user.upn)}'
        f" — {escape(user.upn)}</button></p>"
        for user in users
    )
    return _document("Sign in to the lab", f'<form method="post">{_hidden(query)}{buttons}</form>')


def posting_page(address: str, reply: Mapping[str, str]) -> str:
    """Make the page that posts the code to the application by itself."""
    form = f'<form method="post" action="{escape(address)}">{_hidden(reply)}<button>Continue</button></form>'
    return _document("Signed in", f"{form}<script>document.forms[0].submit()</script>")


def _hidden(values: Mapping[str, str]) -> str:
    return "".join(f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">' for k, v in values.items())


def _document(title: str, body: str) -> str:
    return f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><h1>{title}</h1>{body}</html>'
