"""Broken requests: no answer shows a stack trace, no thread hangs, and the lab serves the next client as before."""

from __future__ import annotations

import base64
import logging
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import requests
import spnego
from pypsrp.exceptions import WSManFaultError
from pypsrp.powershell import RunspacePool
from pypsrp.wsman import NAMESPACES

from lab.psrp_messages import CREATE_PIPELINE, fragments, pack
from tests.fakes.powershell_end import PowerShellEnd, script
from tests.fakes.waiting import until
from tests.fakes.wsman_fuzzer import Fuzzer

pytestmark = pytest.mark.slow

SHELL_NOT_FOUND = 2150858843
TRACES = (b"Traceback", b'File "', b"site-packages", b".py")


def fuzz(end: PowerShellEnd, seed: int, *, count: int | None = None, seconds: float = 0.0) -> Counter[int]:
    """Send broken requests, with a new shell whenever the last one died; gives how many there were of each status."""
    end.parts.settings.shells_per_user = end.parts.settings.shells_per_tenant = 10_000
    seen: Counter[int] = Counter()
    limit = time.monotonic() + seconds
    with requests.Session() as session:
        session.auth = (end.parts.username, end.parts.password)
        session.trust_env = False
        turn = 0
        while turn < count if count is not None else time.monotonic() < limit:
            seen.update(_against_one_shell(end, session, seed + turn))
            turn += 1
    return seen


def _against_one_shell(end: PowerShellEnd, session: requests.Session, seed: int) -> Counter[int]:
    seen: Counter[int] = Counter()
    with end.client() as connection:
        pool = RunspacePool(connection)
        pool.open()
        fuzzer = Fuzzer(seed, str(pool.id), uuid.UUID(pool.id))
        for _ in range(40):
            body = fuzzer.request()
            answer = session.post(f"http://127.0.0.1:{end.port}/wsman", data=body, timeout=60)
            assert answer.status_code in (200, 400, 413, 500), body
            assert not any(trace in answer.content for trace in TRACES), (body, answer.content)
            seen[answer.status_code] += 1
        try:
            pool.close()
        except WSManFaultError as fault:
            if fault.code != SHELL_NOT_FOUND:  # the requests may have deleted it
                raise
    return seen


def check_alive(end: PowerShellEnd) -> None:
    """See that the lab serves, and that nothing of the fuzzing is left once its shells are gone."""
    with end.pool() as pool:
        assert script(pool, "'alive'").output == ["alive"]
    end.close_shells()
    until(lambda: end.busy_workers() == 0)


def test_broken_requests(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """2,000 broken requests are faults, none of them is a defect, and the lab lives."""
    with PowerShellEnd(tmp_path, users=4) as end, caplog.at_level(logging.ERROR, logger="lab"):
        seen = fuzz(end, seed=7, count=50)
        check_alive(end)
    assert sum(seen.values()) == 2000
    assert seen[200] > 100
    assert [record.getMessage() for record in caplog.records] == []


WAITS_FOR_INPUT = b"""<Obj RefId="0"><MS><B N="NoInput">false</B><Obj N="PowerShell" RefId="1"><MS>
<Obj N="Cmds" RefId="2"><LST><Obj RefId="3"><MS><S N="Cmd">Write-Output</S><B N="IsScript">false</B>
<Obj N="Args" RefId="4"><LST/></Obj></MS></Obj>
</LST></Obj></MS></Obj></MS></Obj>"""


def test_shell_that_never_opened_leaves_nothing(tmp_path: Path) -> None:
    """A Create that starts a pipeline before its pool is open is refused, and no pipeline waits for ever."""
    message = pack(CREATE_PIPELINE, WAITS_FOR_INPUT, uuid.uuid4(), uuid.uuid4())
    body = ElementTree.Element(f"{{{NAMESPACES['rsp']}}}Shell")
    creation = ElementTree.SubElement(body, "creationXml", xmlns="http://schemas.microsoft.com/powershell")
    creation.text = base64.b64encode(b"".join(fragments(message, 1))).decode()
    with PowerShellEnd(tmp_path, users=4) as end, end.client() as connection:
        with pytest.raises(WSManFaultError) as caught:
            connection.create("http://schemas.microsoft.com/powershell/Microsoft.PowerShell", body)
        assert end.busy_workers() == 0
    assert "the runspace pool is not open" in str(caught.value.reason)


def broken_tokens(seed: int, count: int) -> Iterator[tuple[bytes, bytes]]:
    """Make pairs of tokens for one connection: a first one, and one that answers nothing anybody asked."""
    chosen = random.Random(seed)
    kinds = [_first_token("ntlm"), _first_token("negotiate"), b"NTLMSSP\0\3\0\0\0" + bytes(80)]
    for _ in range(count):
        yield _damaged(chosen, chosen.choice(kinds)), _damaged(chosen, chosen.choice(kinds))


def _first_token(protocol: str) -> bytes:
    token: bytes = spnego.client("somebody", "word", hostname="127.0.0.1", protocol=protocol).step()
    return token


def _damaged(chosen: random.Random, token: bytes) -> bytes:
    changed = bytearray(token)
    for _ in range(chosen.randrange(4)):
        changed[chosen.randrange(len(changed))] = chosen.randrange(256)
    return bytes(changed[: chosen.randrange(len(changed) + 1)] if chosen.random() < 0.3 else changed)


def test_broken_tokens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Broken sign-ins are challenges, whatever stage they claim to be at, and the right password still works."""
    with PowerShellEnd(tmp_path, users=4) as end, caplog.at_level(logging.ERROR, logger="lab"):
        for pair in broken_tokens(seed=11, count=150):
            with requests.Session() as session:
                for token in pair:
                    headers = {"Authorization": f"Negotiate {base64.b64encode(token).decode()}"}
                    answer = session.post(
                        f"http://127.0.0.1:{end.port}/wsman", data=b"<a/>", headers=headers, timeout=60
                    )
                    assert (answer.status_code, answer.content) == (401, b""), pair
        with end.pool(auth="ntlm", encryption="auto") as pool:
            assert script(pool, "1").output == [1]
    assert [record.getMessage() for record in caplog.records] == []


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_broken_requests_for_ten_minutes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Ten minutes of broken requests from a new seed each time leave nothing behind."""
    seed = int(time.time())
    print(f"seed {seed}")
    with PowerShellEnd(tmp_path, users=4) as end, caplog.at_level(logging.ERROR, logger="lab"):
        seen = fuzz(end, seed, seconds=600)
        check_alive(end)
    print(dict(seen))
    assert [record.getMessage() for record in caplog.records] == []
