"""Negotiate and NTLM: the talk that opens a connection, and the sealed messages that follow on it."""

from __future__ import annotations

import os
import re
import struct
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import spnego
from spnego._ntlm_raw.crypto import ntowfv1
from spnego.exceptions import SpnegoError

DOMAIN = "CONTOSO"
DNS_DOMAIN = "contoso.example"
_VARIABLE = "NTLM_USER_FILE"
_ENVIRONMENT = threading.Lock()
_NO_LM_HASH = "0" * 32

# What reading a token from a confused client may raise inside the parser.
_GARBAGE = (
    SpnegoError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,  # a method that is not there, too deep a nesting
    StopIteration,
    TypeError,
    ValueError,
    struct.error,
)

_TYPE = "application/soap+xml;charset=UTF-8"
_BOUNDARY = "Encrypted Boundary"
_PROTOCOL = "application/HTTP-SPNEGO-session-encrypted"
SEALED = f'multipart/encrypted;protocol="{_PROTOCOL}";boundary="{_BOUNDARY}"'
_PART = re.compile(rb"--\s*Encrypted Boundary\r\n")
_END = re.compile(rb"--\s*Encrypted Boundary--\r\n\Z")
_LENGTH = re.compile(rb"Length=(\d+)")
_OCTETS = b"\tContent-Type: application/octet-stream\r\n"


class Refused(Exception):
    """A token proves nothing, or a sealed message cannot be opened."""


class CredentialStore:
    """The operators as the NTLM acceptor wants them: a file of password hashes that a variable points to."""

    def __init__(self, operators: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="lab-ntlm-")  # only its owner may look inside
        self.path = Path(self._folder.name) / "operators"
        self._names = {name.lower(): name for name in operators}
        lines = [_line(form, password) for name, password in operators.items() for form in _forms(name)]
        self.path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def close(self) -> None:
        """Remove the file."""
        self._folder.cleanup()

    def name(self, principal: str) -> str:
        """Give the operator behind a name with or without its domain; '' for nobody."""
        bare = principal.rpartition("\\")[2].partition("@")[0]
        return self._names.get(bare.lower(), "")

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the acceptor find the file; the variable belongs to the process, so one at a time."""
        with _ENVIRONMENT:
            before = os.environ.get(_VARIABLE)
            os.environ[_VARIABLE] = str(self.path)
            try:
                yield
            finally:
                os.environ.pop(_VARIABLE)
                if before is not None:
                    os.environ[_VARIABLE] = before


def _forms(name: str) -> tuple[str, ...]:
    return name, f"{DOMAIN}\\{name}", f"{name}@{DNS_DOMAIN}"


def _line(name: str, password: str) -> str:
    """Write a line of the smbpasswd format: hashes, so that a password may contain a colon."""
    return f"{name}:1000:{_NO_LM_HASH}:{ntowfv1(password).hex().upper()}:[U]:LCT-0"


class Negotiation:
    """The sign-in of one connection; `user` is empty until it has succeeded."""

    def __init__(self, store: CredentialStore) -> None:
        self._store = store
        self.user = ""
        self.seal: Seal | None = None
        try:
            with store.in_use():
                self._context = spnego.server()
        except SpnegoError as error:
            raise Refused(str(error)) from error

    def step(self, token: bytes) -> bytes | None:
        """Take a token, give the next; raises Refused when it proves nothing."""
        try:
            with self._store.in_use():
                answer: bytes | None = self._context.step(token)
        except _GARBAGE as error:
            raise Refused(str(error)) from error
        if self._context.complete:
            self.user = self._store.name(self._context.client_principal or "")
            self.seal = Seal(self._context)
            if not self.user:
                raise Refused("nobody of that name")
        return answer


class Seal:
    """Opens and closes the messages of a connection; both sides count, so the order matters."""

    def __init__(self, context: spnego.ContextProxy) -> None:
        self._context = context

    def open(self, body: bytes) -> bytes:
        """Give the messages inside a multipart body."""
        parts = [part for part in _PART.split(body) if part]
        if not parts or len(parts) % 2:
            raise Refused("not a sealed message")
        pairs = zip(parts[::2], parts[1::2], strict=True)
        return b"".join(self._open(head, payload) for head, payload in pairs)

    def _open(self, head: bytes, payload: bytes) -> bytes:
        told, sealed = _LENGTH.search(head), _END.sub(b"", payload).removeprefix(_OCTETS)
        if told is None or len(sealed) < 4:
            raise Refused("not a sealed message")
        size = int.from_bytes(sealed[:4], "little")
        try:
            opened: bytes = self._context.unwrap_winrm(sealed[4 : 4 + size], sealed[4 + size :])
        except _GARBAGE as error:
            raise Refused(str(error)) from error
        if len(opened) != int(told[1]):
            raise Refused("the length is not the one that was told")
        return opened

    def close(self, message: bytes) -> bytes:
        """Seal an answer."""
        sealed = self._context.wrap_winrm(message)
        head = (
            f"--{_BOUNDARY}\r\n\tContent-Type: {_PROTOCOL}\r\n\tOriginalContent: type={_TYPE};"
            f"Length={len(message) + sealed.padding_length}\r\n--{_BOUNDARY}\r\n"
        )
        data = struct.pack("<i", len(sealed.header)) + sealed.header + sealed.data
        end = f"--{_BOUNDARY}--\r\n".encode()
        return b"".join((head.encode(), _OCTETS, data, end))
