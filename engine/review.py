"""What a reviewer must know about a plan before approving it: how many, what is taken away, who is concerned (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from config.site_approvals import ApprovalRules
from engine.change import Change
from engine.kinds import KINDS
from engine.plan import LineState
from engine.plan_store import StoredLine
from engine.policy_batch_plan import is_for_many

_ACTIVE = (LineState.PLANNED, LineState.WAITING)


@dataclass(frozen=True)
class Review:
    """A plan at a glance; `destructive` and `vips` name lines."""

    users: int
    kinds: Counter[str]
    states: Counter[str]
    destructive: tuple[int, ...]
    irreversible: tuple[int, ...]
    vips: tuple[int, ...]

    @property
    def risks(self) -> list[str]:
        """Say in words what a reviewer should look at."""
        pairs = (
            (self.destructive, "take something away"),
            (self.irreversible, "cannot be taken back"),
            (self.vips, "concern people the site protects"),
        )
        return [f"{len(lines)} lines {what}: {_few(lines)}" for lines, what in pairs if lines]


def _few(lines: Sequence[int]) -> str:
    return ", ".join(map(str, lines[:10])) + (" …" if len(lines) > 10 else "")


def review(lines: Sequence[StoredLine], rules: ApprovalRules) -> Review:
    """Review a stored plan's lines."""
    active = [line for line in lines if line.state in _ACTIVE and line.changes]
    return Review(
        users=len({line.object for line in active if not is_for_many(line.object)}),
        kinds=Counter(stored.change.kind for line in active for stored in line.changes),
        states=Counter(line.state.value for line in lines),
        destructive=_where(active, is_destructive),
        irreversible=_where(active, is_irreversible),
        vips=tuple(line.line for line in active if _is_vip(line, rules)),
    )


def _where(lines: Sequence[StoredLine], test: object) -> tuple[int, ...]:
    assert callable(test)
    return tuple(line.line for line in lines if any(test(stored.change) for stored in line.changes))


def is_destructive(change: Change) -> bool:
    """Tell whether a change takes something away from somebody; an unknown kind does, until somebody says otherwise."""
    kind = KINDS.get(change.kind)
    if kind is None or kind.is_destructive:
        return True
    if kind.is_local:
        return False
    return any(
        effect.before not in (None, False, "") and effect.after in (None, False, "") for effect in change.effects
    )


def is_irreversible(change: Change) -> bool:
    """Tell whether a change of an outside system cannot be taken back."""
    kind = KINDS.get(change.kind)
    return kind is None or (kind.invert is None and not kind.is_local)


def _is_vip(line: StoredLine, rules: ApprovalRules) -> bool:
    names = {line.label.casefold(), line.object.partition(":")[2].casefold()}
    return any(vip.casefold() in names for vip in rules.vips)


def needs_approval(found: Review, rules: ApprovalRules) -> list[str]:
    """Say why the site wants this plan approved; empty when it does not."""
    reasons = []
    if rules.destructive and (found.destructive or found.irreversible):
        reasons.append("it takes something away or cannot be taken back")
    if rules.users_over is not None and found.users > rules.users_over:
        reasons.append(f"it changes {found.users} users, more than {rules.users_over}")
    if found.vips:
        reasons.append(f"it concerns {len(found.vips)} protected people")
    named = sorted(kind for kind in rules.kinds if found.kinds[kind])
    if named:
        reasons.append(f"it contains {', '.join(named)}")
    return reasons
