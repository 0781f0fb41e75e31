"""How full pools are: counts by state, as a table, a picture (SVG) and a Prometheus text; and how long they last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import ClassVar
from xml.sax.saxutils import escape, quoteattr

from datasets.record import Record

STATES = ("assigned", "claimed", "reserved", "grace", "blocked", "withheld", "free")
_COLOURS = {
    "assigned": "#1f6f8b",
    "claimed": "#e0a030",
    "reserved": "#7a5195",
    "grace": "#99a8b2",
    "blocked": "#b03a48",
    "withheld": "#c9ced2",
    "free": "#7fb77e",
}
_CELLS = 20
_LEFT, _BAR, _ROW, _TOP, _RIGHT = 170, 560, 26, 64, 230


class Usage(Record):
    """How many numbers of a pool, a site or a country are in each state."""

    identity: ClassVar[tuple[str, ...]] = ("by", "group")

    by: str
    group: str
    free: int
    withheld: int
    claimed: int
    assigned: int
    reserved: int
    grace: int
    blocked: int

    @property
    def size(self) -> int:
        """Count every number."""
        return sum(getattr(self, state) for state in STATES)

    @property
    def used_percent(self) -> float:
        """Say how much of what may be given out is taken; withheld and blocked numbers may not."""
        usable = self.size - self.withheld - self.blocked
        return round(100 * (usable - self.free) / usable, 1) if usable else 0.0

    def is_low(self, percent: float, count: int) -> bool:
        """Tell whether too few are free: less than a share of what may be given out, or less than a count."""
        usable = self.size - self.withheld - self.blocked
        return self.free < count or self.free * 100 < percent * usable

    def as_row(self) -> dict[str, object]:
        """Give it as a row of a table."""
        counts = {state: getattr(self, state) for state in STATES}
        return {self.by: self.group, "size": self.size, **counts, "used_percent": self.used_percent}


class Forecast(Record):
    """How many numbers of a pool will be free at the end of each day, and the first day that needs more."""

    identity: ClassVar[tuple[str, ...]] = ("pool",)

    pool: str
    free: int
    per_day: float
    days: tuple[tuple[date, float], ...]
    exhausted_on: date | None


def forecast(
    pool: str,
    free: int,
    today: date,
    *,
    days: int,
    returns: Mapping[date, int],
    hires: Mapping[date, int],
    per_day: float,
) -> Forecast:
    """Add up what comes back and what is needed, day by day; the pace counts from tomorrow."""
    left, found, empty = float(free), [], None
    for offset in range(days + 1):
        day = today + timedelta(days=offset)
        left += returns.get(day, 0) - hires.get(day, 0) - (per_day if offset else 0)
        found.append((day, round(left, 2)))
        if left < 0 and empty is None:
            empty = day
    return Forecast(pool=pool, free=free, per_day=round(per_day, 3), days=tuple(found), exhausted_on=empty)


def prometheus(rows: Sequence[Usage]) -> str:
    """Write the counts for Prometheus' text file collector."""
    lines = [
        "# HELP callwright_numbers Numbers of the inventory by state.",
        "# TYPE callwright_numbers gauge",
    ]
    for row in rows:
        group = row.group.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        lines += [f'callwright_numbers{{{row.by}="{group}",state="{state}"}} {getattr(row, state)}' for state in STATES]
    return "\n".join(lines) + "\n"


def markdown(rows: Sequence[Usage]) -> str:
    """Write a table with a bar for each row, for a page that shows Markdown only."""
    if not rows:
        return "No pool is known yet."
    lines = [f"| {rows[0].by} | used | free | numbers |", "|---|---|---|---|"]
    for row in rows:
        full = round(row.used_percent * _CELLS / 100)
        bar = "█" * full + "░" * (_CELLS - full)
        name = row.group.replace("|", "\\|").replace("\n", " ") or f"(no {row.by})"
        lines.append(f"| {name} | `{bar}` {row.used_percent} % | {row.free} | {row.size} |")
    return "\n".join(lines)


def svg(rows: Sequence[Usage], title: str) -> str:
    """Draw a bar for each row, its states side by side; each bar is as long as the others and says its size."""
    height = _TOP + _ROW * max(1, len(rows)) + 16
    width = _LEFT + _BAR + _RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="13" role="img" aria-label={quoteattr(title)}>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="24" font-size="16">{escape(title)}</text>',
        *_legend(),
    ]
    for i, row in enumerate(rows):
        parts += _bar(row, _TOP + i * _ROW)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend() -> list[str]:
    parts = []
    for i, state in enumerate(STATES):
        x = 12 + i * 100
        parts.append(f'<rect x="{x}" y="36" width="12" height="12" fill="{_COLOURS[state]}"/>')
        parts.append(f'<text x="{x + 17}" y="47">{state}</text>')
    return parts


def _bar(row: Usage, top: int) -> list[str]:
    name = row.group or f"(no {row.by})"
    shown = name if len(name) <= 22 else name[:21] + "…"
    parts = [f'<text x="{_LEFT - 8}" y="{top + 16}" text-anchor="end">{escape(shown)}</text>']
    x = float(_LEFT)
    for state in STATES:
        share = _BAR * getattr(row, state) / row.size if row.size else 0
        if share:
            label = f"{name}: {getattr(row, state)} {state}"
            parts.append(
                f'<rect x="{x:.2f}" y="{top + 3}" width="{share:.2f}" height="18" fill="{_COLOURS[state]}">'
                f"<title>{escape(label)}</title></rect>"
            )
        x += share
    text = f"{row.free} of {row.size} free, {row.used_percent} % used"
    parts.append(f'<text x="{_LEFT + _BAR + 8}" y="{top + 16}">{text}</text>')
    return parts
