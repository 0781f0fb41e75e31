"""The stand-in tenant as a whole: its state with all rules, and views of it that may lag behind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from lab.grants import Grants
from lab.history import Key
from lab.past import past_of
from lab.records import AdUser, Number, User, Voice


class Tenant(Grants):
    """A tenant in memory: mutations return effects or raise, reads go through `view`."""

    def view(self, lag_s: float = 0.0) -> View:
        """Look at the tenant as it was some seconds ago, at least the replication lag."""
        self.settle()
        lag = max(lag_s, self.settings.replication_lag_s)
        if lag <= 0:
            return View(self, {})
        with self.lock:
            return View(self, self.history.replaced_after(self.clock.now() - timedelta(seconds=lag)))


class View:
    """The tenant at one moment: the present, overlaid with what was replaced since."""

    def __init__(self, tenant: Tenant, overlay: dict[Key, object]) -> None:
        self.tenant = past_of(tenant, overlay)
        self._overlay = overlay

    def user(self, identity: str) -> User | None:
        """Find a live account by id, UPN or SIP address."""
        found = self.tenant.find_user(identity)
        if not self._overlay:
            return found
        user_id = found.id if found else identity.casefold()
        past = self._overlay.get(("user", user_id), found)
        return past if isinstance(past, User) else self._past_name(identity)

    def user_by_id(self, user_id: str) -> User | None:
        """Find a live account by object id only."""
        now = self.tenant.users.get(user_id)
        past = self._overlay.get(("user", user_id), now) if self._overlay else now
        return past if isinstance(past, User) else None

    def users(self) -> Iterator[User]:
        """Give all live accounts, oldest first."""
        for user_id in self.tenant.order:
            if user := self.user_by_id(user_id):
                yield user

    def users_by_employee(self, employee_id: str) -> list[User]:
        """Give the live accounts with an employee id."""
        ids = self.tenant.by_employee.get(employee_id.casefold(), {})
        return [user for user_id in list(ids) if (user := self.user_by_id(user_id))]

    def voice(self, user_id: str) -> Voice:
        """Give the telephony state of a user."""
        now = self.tenant.voice(user_id)
        past = self._overlay.get(("voice", user_id), now) if self._overlay else now
        return past if isinstance(past, Voice) else Voice(user_id)

    def number(self, telephone_number: str) -> Number | None:
        """Find a row of the inventory by its exact E.164 text."""
        now = self.tenant.numbers.get(telephone_number)
        past = self._overlay.get(("number", telephone_number), now) if self._overlay else now
        return past if isinstance(past, Number) else None

    def number_keys(self) -> list[str]:
        """Give the texts of the inventory, ascending; `number` tells which were there."""
        keys: list[str] = self.tenant.sorted_numbers
        gone = [str(key) for kind, key in self._overlay if kind == "number" and key not in self.tenant.numbers]
        return sorted([*keys, *gone]) if gone else list(keys)

    def numbers(self) -> Iterator[Number]:
        """Give the inventory in ascending order."""
        for key in self.number_keys():
            if number := self.number(key):
                yield number

    def numbers_held_by(self, user_id: str) -> list[Number]:
        """Give the numbers of a user, the primary one first."""
        if not self._overlay:
            return self.tenant.numbers_held_by(user_id)
        touched = {str(key) for kind, key in self._overlay if kind == "number"}
        keys = touched | set(self.tenant.numbers_of.get(user_id, ()))
        held = [number for key in sorted(keys) if (number := self.number(key)) and number.target_id == user_id]
        return sorted(held, key=lambda number: number.category != "primary")

    def ad_user(self, identity: str) -> AdUser | None:
        """Find a directory account by sAMAccountName, distinguished name or GUID."""
        now = self.tenant.find_ad_user(identity)
        sam = now.sam_account_name.casefold() if now else identity.casefold()
        past = self._overlay.get(("ad", sam), now) if self._overlay else now
        return past if isinstance(past, AdUser) else None

    def ad_users(self) -> Iterator[AdUser]:
        """Give all directory accounts."""
        for sam in list(self.tenant.ad_users):
            if account := self.ad_user(sam):
                yield account

    def _past_name(self, identity: str) -> User | None:
        """Find an account that is gone or was renamed since, by the name it had."""
        folded = identity.casefold()
        for (kind, _), past in self._overlay.items():
            if kind == "user" and isinstance(past, User) and past.upn.casefold() == folded:
                return past
        return None
