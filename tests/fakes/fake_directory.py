"""The Active Directory part of a fake tenant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from connectors.errors import NotFound
from connectors.rows import RowResult
from datasets.phone_attributes import PhoneAttribute, PhoneAttributes
from datasets.users import AdUser

if TYPE_CHECKING:
    from tests.fakes.tenant import FakeTenant, FakeUser


class FakeDirectory:
    """Active Directory's part of the tenant."""

    def __init__(self, tenant: FakeTenant) -> None:
        self._tenant = tenant

    def _by_sam(self, users: dict[str, FakeUser], sam: str) -> FakeUser | None:
        return next((user for user in users.values() if user.sam == sam), None)

    def user(self, sam_account_name: str) -> AdUser | None:
        """Read one user."""
        user = self._by_sam(self._tenant.read("ad.user", sam_account_name), sam_account_name)
        return None if user is None else self._shown(user)

    @staticmethod
    def _shown(user: FakeUser) -> AdUser:
        return AdUser(
            sam_account_name=user.sam,
            user_principal_name=user.upn,
            telephone_number=user.telephone_number,
            ip_phone=user.ip_phone,
            home_phone=user.home_phone,
            mobile=user.mobile,
            employee_id=user.employee_id,
            enabled=user.enabled,
        )

    def set_ad_account_enabled(self, sam_account_name: str, *, enabled: bool) -> None:
        """Let an account sign in, or not any more; the cloud follows at once."""
        user = self._existing(sam_account_name)
        self._tenant.call("set_ad_account_enabled", user.id, lambda: setattr(user, "enabled", enabled))

    def remove_ad_user(self, sam_account_name: str) -> None:
        """Delete an account; the cloud follows at once."""
        user = self._existing(sam_account_name)
        self._tenant.call("delete_ad_user", user.id, lambda: self._tenant.users.pop(user.id))

    def _existing(self, sam_account_name: str) -> FakeUser:
        user = self._by_sam(self._tenant.users, sam_account_name)
        if user is None:
            raise NotFound(f"{sam_account_name} does not exist")
        return user

    def users(self, sam_account_names: Iterable[str]) -> dict[str, AdUser]:
        """Read several users."""
        seen = self._tenant.read("ad.users", "")
        return {sam: self._shown(user) for sam in sam_account_names if (user := self._by_sam(seen, sam)) is not None}

    def everybody(self, *, deadline_s: float) -> Iterator[AdUser]:
        """Read every user."""
        return map(self._shown, self._tenant.read("ad.everybody", "").values())

    def set_phone_attributes(self, rows: Sequence[PhoneAttributes]) -> list[RowResult]:
        """Set or clear attributes, row by row."""
        return [self._write(row.sam_account_name, row.attributes) for row in rows]

    def _write(self, sam_account_name: str, attributes: Mapping[PhoneAttribute, str | None]) -> RowResult:
        user = self._by_sam(self._tenant.users, sam_account_name)
        if user is None:
            return RowResult(sam_account_name, NotFound(f"{sam_account_name} does not exist"))
        fields = {"telephoneNumber": "telephone_number", "ipPhone": "ip_phone"}
        self._tenant.call(
            "write_directory",
            user.id,
            lambda: vars(user).update({fields[name]: value for name, value in attributes.items()}),
        )
        return RowResult(sam_account_name)
