"""Accounts of the stand-in tenant: directory properties, licences, deletion, group membership and Active Directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from lab.records import (
    DIRECT_ROUTING,
    NUMBER_TYPES,
    AdUser,
    Effect,
    Json,
    Licence,
    Number,
    Sku,
    User,
    Voice,
    opaque_id,
)
from lab.rules import NEEDED_FEATURES, VIRTUAL_FEATURE, Refusal, country_code, is_e164, missing, not_found
from lab.store import Store, diff

WRITABLE = frozenset(
    {
        "accountEnabled",
        "businessPhones",
        "city",
        "companyName",
        "country",
        "department",
        "displayName",
        "employeeHireDate",
        "employeeId",
        "employeeLeaveDateTime",
        "employeeType",
        "faxNumber",
        "givenName",
        "jobTitle",
        "mail",
        "mobilePhone",
        "officeLocation",
        "surname",
        "usageLocation",
        "userPrincipalName",
    }
)
RESTORABLE_DAYS = 30
# The cloud owns these even for accounts that come from on-premises.
CLOUD_OWNED = frozenset({"usageLocation", "employeeHireDate", "employeeLeaveDateTime"})


class Accounts(Store):
    """The mutations of accounts; they return effects and raise `Refusal`."""

    # Licences and what they bring

    def features(self, user: User, at: datetime | None = None, *, replicated: bool = True) -> frozenset[str]:
        """Give a user's Teams feature types; by default only those already replicated."""
        moment = at or self.clock.now()
        delay = timedelta(seconds=self.settings.licence_delay_s)
        found: set[str] = set()
        for licence in user.licences:
            if not replicated or licence.assigned_at + delay <= moment:
                plans = self.skus[licence.sku_id].plans
                found |= {p.feature for p in plans if p.feature and p.plan_id not in licence.disabled_plans}
        return frozenset(found)

    def may_hold(self, user: User, number_type: str, *, replicated: bool = True) -> bool:
        """Tell whether the licences of an account allow a kind of number."""
        features = self.features(user, replicated=replicated)
        if user.account_type == "resourceAccount":
            return VIRTUAL_FEATURE in features
        return NEEDED_FEATURES[number_type] <= features

    def change_licences(
        self, identity: str, *, add: Mapping[str, Sequence[str]] | None = None, remove: Sequence[str] = ()
    ) -> list[Effect]:
        """Give (product id → disabled plans) and take products; may free the number."""
        with self.lock:
            user = self.user(identity)
            licences = {licence.sku_id: licence for licence in user.licences}
            for sku_id in remove:
                if licences.pop(sku_id, None) is None:
                    raise _directory("User does not have a corresponding license.")
            for sku_id, disabled in (add or {}).items():
                licences[sku_id] = self._licence(user, self._sku(sku_id), disabled, licences.get(sku_id))
            after = replace(user, licences=tuple(licences.values()))
            self.put_user(after)
            pair: tuple[object, object] = ([x.sku_id for x in user.licences], list(licences))
            return diff(f"user:{user.id}", {"assignedLicenses": pair}) + self.release_unlicensed(after)

    def assign_licence(self, identity: str, sku_id: str) -> list[Effect]:
        """Give one product."""
        return self.change_licences(identity, add={sku_id: ()})

    def remove_licence(self, identity: str, sku_id: str) -> list[Effect]:
        """Take one product."""
        return self.change_licences(identity, remove=[sku_id])

    def release_unlicensed(self, user: User) -> list[Effect]:
        """Free the numbers a user may no longer hold; silently, as the real service does."""
        effects: list[Effect] = []
        if not (self.settings.licence_loss_releases or "licence_releases_number" in self.modes):
            return effects
        for number in self.numbers_held_by(user.id):
            if number.source == "online" and not self.may_hold(user, number.number_type, replicated=False):
                effects += self.free(number)
        voice = self.voice(user.id)
        licensed = any(self.may_hold(user, kind, replicated=False) for kind in NUMBER_TYPES)
        if voice.enterprise_voice and not licensed:
            effects += self.change_voice(voice, enterprise_voice=False)
        return effects

    def free(self, number: Number) -> list[Effect]:
        """Take a number from its holder; Direct Routing rows that were never uploaded vanish."""
        after = replace(number, target_id=None, target_type="user", category="primary")
        if number.uploaded:
            self.put_number(after)
        else:
            self.drop_number(number)
        pairs: dict[str, tuple[object, object]] = {"assignmentTargetId": (number.target_id, None)}
        return diff(f"number:{number.telephone_number}", pairs)

    def change_voice(self, voice: Voice, **changes: object) -> list[Effect]:
        """Replace some of a user's telephony state."""
        after = replace(voice, **changes, modified_at=self.clock.now())  # type: ignore[arg-type]  # names are literals
        self.put_voice(after)
        pairs: dict[str, tuple[object, object]] = {
            "isEnterpriseVoiceEnabled": (voice.enterprise_voice, after.enterprise_voice),
            "onPremLineUri": (voice.on_prem_line_uri, after.on_prem_line_uri),
        }
        for kind in sorted({*voice.policies, *after.policies}):
            pairs[f"policy:{kind}"] = (voice.policies.get(kind), after.policies.get(kind))
        return diff(f"user:{voice.user_id}", pairs)

    # Accounts

    def create_user(self, fields: Mapping[str, Json], *, user_id: str | None = None, kind: str = "user") -> User:
        """Make an account with its telephony state and its Active Directory mirror."""
        with self.lock:
            upn = str(fields.get("userPrincipalName") or "")
            if not upn or upn.casefold() in self.by_upn:
                raise _directory("Another object with the same value for property userPrincipalName already exists.")
            new_id = user_id or opaque_id("user", self.tenant_id, upn, str(len(self.order)))
            known: dict[str, Json] = {"accountEnabled": True, "userType": "Member", **fields}
            user = User(new_id, known, account_type=kind)
            self.put_user(user)
            self.put_voice(Voice(new_id, sip_address=f"sip:{upn}", modified_at=self.clock.now()))
            self._mirror(user)
            return user

    def patch_user(self, identity: str, changes: Mapping[str, Json], *, forced: bool = False) -> list[Effect]:
        """Change directory properties; `forced` is for the control port: any of them."""
        with self.lock:
            user = self.user(identity)
            if not forced:
                self._check_patch(user, changes)
            self.put_user(replace(user, fields={**user.fields, **changes}))
            return diff(f"user:{user.id}", {name: (user.fields.get(name), value) for name, value in changes.items()})

    def delete_user(self, identity: str) -> list[Effect]:
        """Soft-delete an account; it keeps its number, so a free-looking one may not be."""
        with self.lock:
            user = self.user(identity)
            self.drop_user(user)
            gone = replace(user, deleted_at=self.clock.now())
            self.deleted[user.id] = gone
            self.schedule(RESTORABLE_DAYS * 86400, lambda: self._expire(gone))
            return [Effect(f"user:{user.id}", "deleted", before=False, after=True)]

    def _expire(self, gone: User) -> None:
        """Forget a soft-deleted account whose time is over; its numbers are free then, as is assumed."""
        if self.deleted.get(gone.id) is gone:
            del self.deleted[gone.id]
            self._remember("user", gone.id, None)
            for number in self.numbers_held_by(gone.id):
                self.free(number)

    def restore_user(self, user_id: str) -> list[Effect]:
        """Bring a soft-deleted account back."""
        with self.lock:
            user = self.deleted.pop(user_id, None)
            if user is None:
                raise missing(user_id)
            self.put_user(replace(user, deleted_at=None))
            return [Effect(f"user:{user.id}", "deleted", before=True, after=False)]

    def purge_user(self, identity: str) -> list[Effect]:
        """Forget an account for good; a number it held now belongs to a ghost."""
        with self.lock:
            live = self.find_user(identity)
            effects = self.delete_user(live.id) if live else []
            user_id = live.id if live else identity
            if self.deleted.pop(user_id, None) is None:
                raise missing(identity)
            self._remember("user", user_id, None)
            return [*effects, Effect(f"user:{user_id}", "purged", before=False, after=True)]

    # Groups

    def change_members(self, group_id: str, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> list[Effect]:
        """Add and remove direct members of a group."""
        with self.lock:
            group = self.groups.get(group_id)
            if group is None:
                raise missing(group_id)
            if any(member in group.members for member in add):
                raise _directory("One or more added object references already exist for the property 'members'.")
            members = tuple(m for m in (*group.members, *add) if m not in remove)
            self.put_group(replace(group, members=members))
            return diff(f"group:{group_id}", {"members": (list(group.members), list(members))})

    # Active Directory

    def set_ad_user(self, identity: str, changes: Mapping[str, str | None]) -> list[Effect]:
        """Set LDAP attributes, None clears one; the cloud follows after the sync delay."""
        with self.lock:
            account = self.find_ad_user(identity)
            if account is None:
                raise not_found(f"Cannot find an object with identity: '{identity}'")
            after = {k: v for k, v in {**account.attributes, **changes}.items() if v is not None}
            self.put_ad_user(replace(account, attributes=after))
            pairs = {name: (account.attributes.get(name), value) for name, value in changes.items()}
            if "msRTCSIP-Line" in changes:
                line = changes["msRTCSIP-Line"]
                self.schedule(self.settings.directory_sync_delay_s, lambda: self._synchronise(account, line))
            return diff(f"ad:{account.sam_account_name}", dict(pairs))

    def _synchronise(self, account: AdUser, line: str | None) -> None:
        """Bring a local line to the cloud: it shows as a number that only the local directory may change."""
        user_id = self.by_sam.get(account.sam_account_name.casefold())
        if user_id is None:
            return
        for number in self.numbers_held_by(user_id):
            if number.source == "onPremises":
                self.drop_number(number)
        self.change_voice(self.voice(user_id), on_prem_line_uri=line)
        key = (line or "").removeprefix("tel:")
        if is_e164(key) and key not in self.numbers:
            self.put_number(Number(key, DIRECT_ROUTING, uploaded=False, target_id=user_id, source="onPremises"))

    def _mirror(self, user: User) -> None:
        sam = user.text("onPremisesSamAccountName")
        if sam is None or self.find_ad_user(sam):
            return
        wanted = {
            "displayName": "displayName",
            "givenName": "givenName",
            "sn": "surname",
            "mail": "mail",
            "department": "department",
            "title": "jobTitle",
            "employeeID": "employeeId",
        }
        attributes = {ldap: text for ldap, name in wanted.items() if (text := user.text(name))}
        suffix = ",".join(f"DC={part}" for part in self.domain.split("."))
        name = f"CN={sam},OU=People,{suffix}"
        self.put_ad_user(AdUser(sam, name, opaque_id("ad", user.id), user.upn, attributes=attributes))

    def _sku(self, sku_id: str) -> Sku:
        sku = self.skus.get(sku_id)
        if sku is None:
            raise _directory(f"License {sku_id} does not correspond to a valid company License.")
        return sku

    def _licence(self, user: User, sku: Sku, disabled: Sequence[str], held: Licence | None) -> Licence:
        if not user.text("usageLocation"):
            raise _directory("License assignment cannot be done for user with invalid usage location.")
        unknown = set(disabled) - {plan.plan_id for plan in sku.plans}
        if unknown:
            raise _directory(
                f"License assignment failed because service plan {sorted(unknown)[0]} is not in the product."
            )
        if held:
            return replace(held, disabled_plans=tuple(disabled))
        if self.consumed[sku.sku_id] >= sku.enabled:
            raise _directory(f"Subscription with SKU {sku.sku_id} does not have any available licenses.")
        return Licence(sku.sku_id, self.clock.now(), tuple(disabled))

    def _check_patch(self, user: User, changes: Mapping[str, Json]) -> None:
        unknown = [name for name in changes if name not in WRITABLE]
        if unknown:
            raise _directory(f"Property '{unknown[0]}' is read-only or does not exist on the resource 'User'.")
        if user.fields.get("onPremisesSyncEnabled") and not set(changes) <= CLOUD_OWNED:
            raise _directory(
                "Unable to update the specified properties for on-premises mastered Directory Sync objects or "
                "objects currently undergoing migration."
            )
        country = changes.get("usageLocation")
        if country is not None and not country_code(str(country)):
            raise _directory("Invalid value specified for property 'usageLocation' of resource 'User'.")
        upn = str(changes.get("userPrincipalName") or user.upn).casefold()
        if self.by_upn.get(upn, user.id) != user.id:
            raise _directory("Another object with the same value for property userPrincipalName already exists.")


def _directory(message: str) -> Refusal:
    """Make a refusal as the directory part of Graph words it."""
    return Refusal("Request_BadRequest", message)
