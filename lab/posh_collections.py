"""Lists that may grow, as some objects of the servers have them: unlike arrays they know Add, Remove and Clear."""

from __future__ import annotations

from collections.abc import Callable

from lab.posh_values import Value, to_text


class Collection(list[Value]):
    """A list with the methods of a .NET collection; texts are found in any case."""

    def methods(self) -> dict[str, Callable[[list[Value]], Value]]:
        """Give the methods a script may call."""
        return {"add": self._add, "remove": self._remove, "contains": self._contains, "clear": self._clear}

    def _add(self, arguments: list[Value]) -> Value:
        self.append(arguments[0])
        return None

    def _remove(self, arguments: list[Value]) -> Value:
        place = self._place(arguments[0])
        if place is None:
            return False
        del self[place]
        return True

    def _contains(self, arguments: list[Value]) -> Value:
        return self._place(arguments[0]) is not None

    def _clear(self, _arguments: list[Value]) -> Value:
        self[:] = []
        return None

    def _place(self, item: Value) -> int | None:
        wanted = to_text(item).casefold()
        return next((place for place, known in enumerate(self) if to_text(known).casefold() == wanted), None)
