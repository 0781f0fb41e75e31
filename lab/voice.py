"""Telephony of the stand-in tenant: numbers and Enterprise Voice, with the rules that couple them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from lab import rules
from lab.accounts import Accounts
from lab.records import (
    CALLING_PLAN,
    DIRECT_ROUTING,
    NUMBER_TYPES,
    PRIMARY,
    Effect,
    Number,
    User,
)
from lab.rules import bad_request
from lab.store import diff


class Telephony(Accounts):
    """The mutations of numbers and Enterprise Voice; they return effects."""

    # Numbers

    def assign_number(
        self,
        identity: str,
        telephone_number: str,
        number_type: str,
        *,
        location_id: str | None = None,
        category: str = PRIMARY,
        network_site_id: str | None = None,
    ) -> list[Effect]:
        """Give a number: replaces one of the same category, switches Enterprise Voice on."""
        with self.lock:
            user = self.telephony_user(identity)
            key, kind = rules.telephone_number(telephone_number), rules.number_type(number_type)
            self.check_assignment(user, key, kind, location_id)
            number = self.numbers.get(key) or Number(key, kind, uploaded=False)
            after = replace(
                number,
                source="online",
                target_id=user.id,
                target_type=user.account_type,
                category=category,
                location_id=location_id or number.location_id,
                network_site_id=network_site_id or number.network_site_id,
            )
            effects = self._free_others(user, after) + self.replace_number(number, after)
            return effects + self.change_voice(self.voice(user.id), enterprise_voice=True)

    def check_assignment(self, user: User, key: str, kind: str, location_id: str | None) -> None:
        """Refuse an assignment the service would refuse, with its words."""
        number = self.numbers.get(key)
        if number and number.target_id not in (None, user.id):
            raise rules.already_assigned(key)
        if number is None and kind != DIRECT_ROUTING:
            raise rules.not_in_inventory(key, self.tenant_id)
        if number and number.number_type != kind:
            raise rules.not_in_inventory(key, self.tenant_id)
        self._check_on_premises(user, number)
        if not self.may_hold(user, kind):
            raise rules.lacks_licence(user.upn, kind)
        self._check_clash(user, key)
        self._check_block(number)
        self._check_location(kind, key, location_id or (number.location_id if number else None))

    def unassign_number(
        self, telephone_number: str, number_type: str, *, identity: str | None = None, block_days: int | None = None
    ) -> list[Effect]:
        """Take a number from its holder, and Enterprise Voice with it; block days 0: forever."""
        with self.lock:
            key = rules.telephone_number(telephone_number)
            number = self._inventory_row(key, rules.number_type(number_type))
            if number.source == "onPremises":
                raise rules.on_premises_number(number.target_id or key)
            if number.target_id is None or (identity and self.telephony_user(identity).id != number.target_id):
                raise bad_request(f"Telephone Number '{key}' is not assigned to the user")
            effects = self.free(number)
            if number.category == PRIMARY and number.target_id in self.voices:
                effects += self.change_voice(self.voice(number.target_id), enterprise_voice=False)
            block_days = self.phone_configuration.block_days if block_days is None else block_days
            if block_days is not None:
                effects += self.block_number(key, days=block_days)
            return effects

    def unassign_all(self, identity: str) -> list[Effect]:
        """Take every online number from a user; one owned on-premises stays, as in life."""
        with self.lock:
            user = self.telephony_user(identity)
            effects: list[Effect] = []
            for number in self.numbers_held_by(user.id):
                if number.source == "online":
                    effects += self.unassign_number(number.telephone_number, number.number_type)
            return effects

    def update_number(
        self,
        telephone_number: str,
        *,
        location_id: str | None = None,
        network_site_id: str | None = None,
        reverse_lookup: Sequence[str] | None = None,
    ) -> list[Effect]:
        """Change attributes of a number; an empty string clears, None keeps."""
        with self.lock:
            number = self._inventory_row(rules.telephone_number(telephone_number))
            if location_id:
                self._check_location(number.number_type, number.telephone_number, location_id)
            if reverse_lookup is not None and number.number_type != DIRECT_ROUTING:
                raise bad_request("ReverseNumberLookup is supported for Direct Routing numbers only.")
            if location_id == "" and number.number_type == CALLING_PLAN:
                raise bad_request(f"Telephone Number '{number.telephone_number}' requires an emergency location")
            after = replace(
                number,
                location_id=number.location_id if location_id is None else location_id or None,
                network_site_id=number.network_site_id if network_site_id is None else network_site_id or None,
                reverse_lookup=number.reverse_lookup if reverse_lookup is None else tuple(reverse_lookup),
            )
            return self.replace_number(number, after)

    def block_number(self, telephone_number: str, *, days: int) -> list[Effect]:
        """Block a number for some days; 0 means forever, a negative number lifts it."""
        with self.lock:
            key = rules.telephone_number(telephone_number)
            number = self.numbers.get(key) or Number(key, DIRECT_ROUTING, uploaded=True)
            until = self.clock.now() + timedelta(days=days) if days > 0 else None
            return self.replace_number(
                number, replace(number, blocked_until=until, blocked_forever=days == 0, uploaded=True)
            )

    def is_blocked(self, number: Number, at: datetime | None = None) -> bool:
        """Tell whether the assignment block of a number still holds."""
        moment = at or self.clock.now()
        return number.blocked_forever or (number.blocked_until is not None and number.blocked_until > moment)

    # Enterprise Voice

    def set_enterprise_voice(self, identity: str, *, enabled: bool) -> list[Effect]:
        """Switch Enterprise Voice without touching a number; on needs the licence."""
        with self.lock:
            user = self.telephony_user(identity)
            if enabled and not any(self.may_hold(user, kind) for kind in NUMBER_TYPES):
                raise rules.lacks_licence(user.upn, DIRECT_ROUTING)
            return self.change_voice(self.voice(user.id), enterprise_voice=enabled)

    def telephony_user(self, identity: str) -> User:
        """Find a user as the telephony service does."""
        found = self.find_user(identity)
        if found is None:
            raise rules.unknown_user(identity)
        return found

    def replace_number(self, before: Number, after: Number) -> list[Effect]:
        """Store a number and tell what about it changed."""
        self.put_number(after)
        names = {"target_id": "assignmentTargetId", "category": "assignmentCategory", "location_id": "locationId"}
        names |= {
            "network_site_id": "networkSiteId",
            "blocked_until": "blockedUntil",
            "blocked_forever": "blockedForever",
        }
        names |= {"reverse_lookup": "reverseNumberLookupOptions", "tags": "tags", "source": "numberSource"}
        names |= {"capabilities": "capabilities", "policies": "policies"}
        pairs = {shown: (getattr(before, name), getattr(after, name)) for name, shown in names.items()}
        return diff(f"number:{after.telephone_number}", pairs)

    def _free_others(self, user: User, number: Number) -> list[Effect]:
        """Free the number this one replaces."""
        effects: list[Effect] = []
        for held in self.numbers_held_by(user.id):
            if held.category == number.category and held.telephone_number != number.telephone_number:
                effects += self.free(held)
        return effects

    def _inventory_row(self, key: str, kind: str | None = None) -> Number:
        number = self.numbers.get(key)
        if number is None or kind not in (None, number.number_type):
            raise rules.not_in_inventory(key, self.tenant_id)
        return number

    def _check_clash(self, user: User, key: str) -> None:
        """Refuse a base number next to its extension, where the tenant is set to."""
        if not (self.settings.extension_clashes or "extension_clash" in self.modes):
            return
        for other in self.by_base.get(key.partition(";")[0], ()):
            if self.numbers[other].target_id not in (None, user.id) and (";" in other) != (";" in key):
                raise rules.already_assigned(key)

    def _check_on_premises(self, user: User, number: Number | None) -> None:
        """Refuse while the local directory owns the line, unless the tenant lets its own number come over."""
        line = self.voice(user.id).on_prem_line_uri
        own = number is not None and number.source == "onPremises" and number.target_id == user.id
        if own and self.phone_configuration.migrates_from_on_premises:
            return
        if line or (number and number.source == "onPremises"):
            raise rules.on_premises_number(user.upn)

    def _check_block(self, number: Number | None) -> None:
        if number and number.target_id is None and self.is_blocked(number):
            raise bad_request(f"Telephone Number '{number.telephone_number}' is blocked from assignment")

    def _check_location(self, kind: str, key: str, location_id: str | None) -> None:
        if location_id and location_id not in self.locations:
            raise bad_request(f"Location '{location_id}' is not found")
        if kind == DIRECT_ROUTING:
            return
        if location_id is None:
            raise bad_request(f"Telephone Number '{key}' requires an emergency location")
        country = self.numbers[key].country
        if country and self.locations[location_id].country != country:
            raise bad_request(f"Location '{location_id}' is not in the country of Telephone Number '{key}'")
