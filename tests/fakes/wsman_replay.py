"""Repeats one cmdlet call of a stock client as raw requests, so that a hundred thousand of them take minutes."""

from __future__ import annotations

import base64
import re
import uuid
from typing import Any

import requests
from pypsrp.powershell import RunspacePool

from tests.fakes.powershell_end import invoke

_ARGUMENTS = re.compile(rb"(Arguments>)([^<]+)(</)")


class Replay:
    """Records the requests of one call, then sends them again under new ids."""

    def __init__(self, pool: RunspacePool, cmdlet: str, **parameters: Any) -> None:
        transport = pool.connection.transport
        self._sent: list[bytes] = []
        send = transport.send

        def record(message: bytes, **given: Any) -> bytes:
            self._sent.append(message)
            answer: bytes = send(message, **given)
            return answer

        transport.send = record
        shell = invoke(pool, cmdlet, **parameters)
        transport.send = send
        self._id, self._address = uuid.UUID(shell.id), transport.endpoint
        self._pair = (transport.username, transport.password)
        self._session = requests.Session()

    def repeat(self, times: int) -> None:
        """Make the call many times more, on one connection."""
        with requests.Session() as self._session:
            self._session.trust_env = False
            self._session.auth = self._pair
            for _ in range(times):
                self._once()

    def _once(self) -> None:
        """Make the call once more; checks that it ends."""
        fresh = uuid.uuid4()
        command, receive, *_, signal = (self._renamed(message, fresh) for message in self._sent)
        self._post(command)
        while b"CommandState/Done" not in self._post(receive):
            pass
        self._post(signal)

    def _renamed(self, message: bytes, fresh: uuid.UUID) -> bytes:
        def change(found: re.Match[bytes]) -> bytes:
            inner = base64.b64decode(found[2]).replace(self._id.bytes_le, fresh.bytes_le)
            return found[1] + base64.b64encode(inner) + found[3]

        return _ARGUMENTS.sub(change, message).replace(str(self._id).upper().encode(), str(fresh).upper().encode())

    def _post(self, message: bytes) -> bytes:
        headers = {"Content-Type": "application/soap+xml;charset=UTF-8"}
        answer = self._session.post(self._address, data=message, headers=headers, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.content
