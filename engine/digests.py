"""The digests of the journal, pure: of a payload with its effects, and of an entry that continues its predecessor.

Text in, text out, so that a journal can be checked from its rows without building objects first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import orjson

GENESIS = "0" * 64
CHAINED = ("at", "stream_id", "seq", "plan_id", "line", "change", "target", "phase", "result", "payload_digest")
EffectText = tuple[str, str, str, str]


def canonical(value: object) -> str:
    """Encode a JSON value in the one form that is hashed: sorted keys, no spaces."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def payload_digest(salt: str, payload: str, effects: Sequence[EffectText] = ()) -> str:
    """Give the salted digest of a canonical payload and its effects (object, attribute, before, after) in order.

    With payload, effects and salt erased, the digest still proves the chain.
    """
    if not effects:
        return hashlib.sha256((salt + payload).encode()).hexdigest()
    return hashlib.sha256((salt + payload).encode() + effects_text(effects)).hexdigest()


def effects_text(effects: Sequence[EffectText]) -> bytes:
    """Put effects, ordered by object and attribute, into the one form that is hashed."""
    fragment = orjson.Fragment
    return orjson.dumps([(name, attribute, fragment(b), fragment(a)) for name, attribute, b, a in effects])


def entry_digest(previous: str, fields: Sequence[object]) -> str:
    """Give the digest of an entry from its predecessor's digest and its fields, in the order of CHAINED."""
    return hashlib.sha256(previous.encode() + orjson.dumps(fields)).hexdigest()
