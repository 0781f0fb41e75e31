"""The pace a throttling system allows, learned from its refusals, so that threads do not rush back after a pause.

A refusal teaches a rate only when rate explains it. Who was refused again at a rate that was proven to be allowed was
refused for another reason (a share of all calls, a busy neighbour): then pauses are kept and nothing is slowed down.
Pure arithmetic on moments that are handed in; `connectors/throttle.py` does the waiting.
"""

from __future__ import annotations

# So many accepted requests between two refusals measure the allowed rate; fewer only say "slower".
_ENOUGH = 20
# Longer gaps between requests are idleness, not the system's limit; shorter bursts have no measurable rate.
_LONGEST_GAP_S, _SHORTEST_BURST_S = 1.0, 0.05
_SPARSE = 10.0  # fewer requests a second say nothing about more; pauses are enough for them
_SLOWEST = 2.0  # requests a second; a lower limit is kept by pauses alone
_REPEATED_WITHIN_S = 30.0
_BACK_OFF, _FORGET = 0.5, 0.25
# Below the rate that was refused we climb towards it; beyond it slowly, faster the longer nothing was refused.
_CLIMB_S = 10.0
_GROWTH, _GROWTH_DOUBLES_S = 0.0025, 60.0
# So many refusals teach nothing once rate did not explain one; two quick ones in a row end that early.
_UNEXPLAINED, _QUICK_IN_A_ROW = 20, 2


class Pace:
    """How fast requests may follow each other; no limit until something was refused."""

    def __init__(self) -> None:
        self.rate: float | None = None
        self._ceiling = float("inf")
        self._proven = 0.0
        self._accepted = self._unexplained = self._quick = 0
        self._active_s = self._pause_s = 0.0
        self._last_sent = self._last_refused = self._next_slot = float("-inf")

    def slot(self, now: float) -> float:
        """Give the moment at which the next request may leave, and count it as sent then."""
        at = now if self.rate is None else max(now, self._next_slot)
        passed_s = max(0.0, at - self._last_sent)
        if self.rate is not None:
            self.rate = self._grown(self.rate, at, passed_s)
            self._next_slot = at + 1 / self.rate
        self._active_s += min(_LONGEST_GAP_S, passed_s)
        self._last_sent = at
        self._accepted += 1
        return at

    def unsent(self) -> None:
        """Take back a slot that was not used."""
        self._accepted -= 1

    def refused(self, now: float, pause_s: float, *, is_first: bool, is_own: bool = True) -> None:
        """Learn from a refusal; `is_first` tells that no pause was running yet.

        What another process was told (not `is_own`) proves nothing against our rate.
        """
        self._accepted -= int(is_own)
        if not is_first:
            return
        self._quick = 0 if self._accepted >= _ENOUGH else self._quick + 1
        if self._quick == 0 and self._pause_s:  # before the first pause it may have saved up for hours
            self._proven = max(self._proven, self._allowed())
        if self._unexplained and self._quick < _QUICK_IN_A_ROW:
            self._unexplained -= 1
        elif is_own and self._sent_at() <= self._proven:
            self.rate, self._ceiling = None, float("inf")
            self._proven *= _FORGET  # what the system allows may have fallen
            self._unexplained, self._quick = _UNEXPLAINED, 0
        else:
            self._unexplained = 0
            self._slow_down(is_repeated=now - self._last_refused < _REPEATED_WITHIN_S)
        self._accepted, self._active_s, self._pause_s = 0, 0.0, pause_s
        self._last_refused = self._last_sent = self._next_slot = now + pause_s

    def _slow_down(self, *, is_repeated: bool) -> None:
        if self.rate is None and self._sent_at() < _SPARSE:
            return
        if self._accepted >= _ENOUGH:
            # What the system saved up during the last pause was spent since, perhaps; so the allowed rate lies
            # between these two. They close up as the time between refusals grows.
            self.rate = self._allowed()
            self._ceiling = self._accepted / max(self._active_s, _SHORTEST_BURST_S)
        elif is_repeated:
            burst = (self._accepted + 1) / max(self._active_s, _SHORTEST_BURST_S)
            self._ceiling = min(burst, self.rate or burst)
            self.rate = max(_SLOWEST, self._ceiling * _BACK_OFF)

    def _allowed(self) -> float:
        return max(_SLOWEST, self._accepted / (self._active_s + self._pause_s))

    def _sent_at(self) -> float:
        """Give the rate that was kept to, or else what it was since the last refusal."""
        return self.rate or self._accepted / max(self._active_s, _SHORTEST_BURST_S)

    def _grown(self, rate: float, at: float, passed_s: float) -> float:
        if self._accepted < _ENOUGH:
            return rate  # a refusal now would tell that rate is not the reason
        calm_s = max(0.0, at - self._last_refused)
        grown = rate * (1 + _GROWTH * passed_s * max(1.0, calm_s / _GROWTH_DOUBLES_S))
        if rate < self._ceiling:
            grown += (self._ceiling - rate) * min(1.0, passed_s / _CLIMB_S)
        return grown
