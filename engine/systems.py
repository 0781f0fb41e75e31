"""What the engine needs of the outside systems, as protocols: connectors fit them, and so do the fakes of the tests.

Methods that change a system are called by `engine/writers.py` only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

from datasets.call_forwarding import CallForwarding
from datasets.calling_settings import CallingGroup, Settings
from datasets.directory import DeltaPage, DirectoryGroup
from datasets.hybrid import HybridAccount, SkypeUser
from datasets.number_orders import OrderKind
from datasets.phone_attributes import PhoneAttributes
from datasets.policy_operations import PolicyOperation
from datasets.teams_calls import TeamsCalls
from datasets.treatments import Treatment
from datasets.unassigned_ranges import UnassignedRange
from datasets.users import AdUser, DirectoryUser, EmergencyLocation, NumberAssignment, SubscribedSku, VoiceUser
from datasets.voice_rows import VoicePolicy, VoiceSwitch
from engine.turnstile import Turnstile


class GraphSystem(Protocol):
    """Users and licences."""

    def user(self, user: str) -> DirectoryUser | None:
        """Read one user by object id or UPN."""

    def users_named(self, names: Iterable[str]) -> dict[str, DirectoryUser]:
        """Find several users by object id, UPN or SIP address; those that nobody has are left out."""

    def users_by_employee_ids(self, ids: Iterable[str]) -> dict[str, list[DirectoryUser]]:
        """Read the users who carry these employee ids; more than one per id is possible."""

    def users_by_ids(self, ids: Iterable[str]) -> dict[str, DirectoryUser]:
        """Read several users by object id; those that do not exist are left out."""

    def hybrid_accounts(self, ids: Iterable[str]) -> dict[str, HybridAccount]:
        """Read several users by object id with what a move to Teams depends on; who does not exist is left out."""

    def users_delta(self, link: str | None = None) -> Iterator[DeltaPage]:
        """Read what changed since a link, or everything; raises NotFound when the link has expired."""

    def member_ids(self, group: str) -> frozenset[str] | None:
        """Read the ids of all members of a group by name or id, nested groups expanded; None for an unknown group."""

    def group_id(self, group: str) -> str | None:
        """Give the object id of a group by name or id; None for an unknown name."""

    def groups_of_user(self, user_id: str) -> list[DirectoryGroup]:
        """Read the groups that a user is in directly."""

    def groups_of_group(self, group_id: str) -> list[DirectoryGroup]:
        """Read the groups that a group lies in directly."""

    def licence_groups(self, user_id: str) -> Mapping[str, tuple[str, ...]]:
        """Read which groups give a user which licences: ids of groups by product."""

    def deleted_users(self) -> Iterator[DirectoryUser]:
        """Read the soft-deleted users."""

    def subscribed_skus(self) -> list[SubscribedSku]:
        """Read the tenant's licence products."""

    def set_usage_location(self, user_id: str, country: str) -> None:
        """Write the usage location."""

    def assign_licence(self, user_id: str, sku_id: str) -> None:
        """Give a licence."""

    def remove_licence(self, user_id: str, sku_id: str) -> None:
        """Take a licence away."""

    def set_account_enabled(self, user_id: str, *, enabled: bool) -> None:
        """Let a user sign in, or not any more."""

    def delete_user(self, user_id: str) -> None:
        """Delete a user; restorable for thirty days."""

    def add_member(self, group: str, user_id: str) -> None:
        """Make a user a member of a group, by its name or id."""

    def remove_member(self, group: str, user_id: str) -> None:
        """Take a direct member out of a group."""

    def restore_user(self, user_id: str) -> None:
        """Bring a deleted user back."""


class TeamsSystem(Protocol):
    """Numbers and policies of users."""

    def number(self, number: str) -> NumberAssignment | None:
        """Read one number; None when the tenant does not list it."""

    def numbers(self, filter: str | None = None) -> Iterator[NumberAssignment]:
        """Read the tenant's numbers."""

    def voice_user(self, user_id: str) -> VoiceUser | None:
        """Read what Teams Phone knows about a user; None before it is provisioned."""

    def voice_users_by_ids(self, user_ids: Iterable[str]) -> dict[str, VoiceUser]:
        """Read what Teams Phone knows about several users."""

    def voice_users(self) -> Iterator[VoiceUser]:
        """Read everybody whom Teams Phone knows."""

    def policy_id(self, policy_type: str, name: str) -> str | None:
        """Find the opaque id of a policy by type and name."""

    def assign_number(self, number: str, user_id: str, number_type: str, location_id: str | None = None) -> str:
        """Start the assignment of a number and give the operation's id."""

    def wait_for_operation(self, operation_id: str, deadline_s: float) -> None:
        """Wait for a number operation; raises what its failure means."""

    def unassign_number(self, number: str, number_type: str) -> str:
        """Start taking a number away and give the operation's id."""

    def update_number_location(self, number: str, location_id: str | None) -> None:
        """Set the emergency location of a number; None clears it."""

    def grant_policies(self, user_id: str, policies: Mapping[str, str]) -> None:
        """Assign policies directly: type → policy id."""

    def revoke_policies(self, user_id: str, policy_types: Sequence[str]) -> None:
        """Remove direct policy assignments."""


class RowAnswer(Protocol):
    """The answer to one row of a bulk call."""

    def checked(self) -> object:
        """Return if the row succeeded; raises its error otherwise."""


class DirectorySystem(Protocol):
    """Telephone attributes in Active Directory."""

    def user(self, sam_account_name: str) -> AdUser | None:
        """Read one user."""

    def users(self, sam_account_names: Iterable[str]) -> dict[str, AdUser]:
        """Read several users by sAMAccountName."""

    def everybody(self, *, deadline_s: float) -> Iterator[AdUser]:
        """Read every user as they come."""

    def set_phone_attributes(self, rows: Sequence[PhoneAttributes]) -> Sequence[RowAnswer]:
        """Set or clear (None) telephone attributes, with an answer for each row."""

    def set_ad_account_enabled(self, sam_account_name: str, *, enabled: bool) -> None:
        """Let an account sign in, or not any more."""

    def remove_ad_user(self, sam_account_name: str) -> None:
        """Delete an account."""


class ShellSystem(Protocol):
    """The parts of Teams that only PowerShell reaches."""

    def module_version(self) -> str | None:
        """Read the version of the Teams module; None when the host does not tell."""

    def voice_routing_policies(self) -> list[VoicePolicy]:
        """Read the voice routing policies with their usages."""

    def routed_usages(self) -> frozenset[str]:
        """Name the PSTN usages that exist and that a voice route carries."""

    def locations(self) -> list[EmergencyLocation]:
        """Read the emergency locations."""

    def set_enterprise_voice(self, rows: Sequence[VoiceSwitch]) -> Sequence[RowAnswer]:
        """Switch Enterprise Voice of users without touching numbers, with an answer for each row."""


class SkypeSystem(Protocol):
    """Users of a Skype for Business Server, and moves between it and the cloud."""

    def user(self, sip_address: str) -> SkypeUser | None:
        """Read one user by SIP address."""

    def users(self, sam_account_names: Iterable[str]) -> dict[str, SkypeUser]:
        """Read several users by sAMAccountName."""

    def everybody(self, *, deadline_s: float) -> Iterator[SkypeUser]:
        """Read every enabled user as they come."""

    def call_forwarding(self, sip_address: str) -> CallForwarding:
        """Read where the calls of a user go, as one of the front ends has it."""

    def front_ends(self) -> Mapping[str, int]:
        """Count the front ends of each pool."""

    def unassigned_ranges(self) -> list[UnassignedRange]:
        """Read the ranges whose unassigned numbers the servers answer."""

    def server_build(self) -> str | None:
        """Read the build of the server."""

    def cloud_host(self) -> str:
        """Give where users are moved to."""

    def move_user(self, sip_address: str, target: str) -> None:
        """Move a user to the cloud or to a pool."""

    def set_line_uri(self, sip_address: str, line_uri: str | None) -> None:
        """Set or clear (None) the line of a user."""

    def switch_on_premises_voice(self, sip_address: str, *, enabled: bool) -> None:
        """Switch Enterprise Voice of a user of the server."""

    def disable_skype_user(self, sip_address: str) -> None:
        """Take a user from the server; the directory account stays."""


class NumberingSystem(Protocol):
    """The number inventory of Teams, as far as only PowerShell reaches it."""

    def has_blocks(self) -> bool:
        """Tell whether the module knows assignment blocks."""

    def block_of(self, number: str) -> str | None:
        """Read a number's assignment block; None when the number is not listed."""

    def blocks(self) -> Iterator[tuple[str, str]]:
        """Read every listed number with its assignment block."""

    def block_number(self, number: str, days: int) -> None:
        """Have Teams refuse to assign a number for some days."""

    def lift_block(self, number: str) -> None:
        """Have Teams assign a number again."""

    def treatments(self) -> Iterator[tuple[str, Treatment]]:
        """Read by name the treatments that are for one number."""

    def treatment_of(self, number: str) -> str | None:
        """Say where our treatment sends callers of a number; None when there is none."""

    def make_announcement(self, treatment: Treatment) -> None:
        """Have callers of a number that nobody has hear an announcement, or go to somebody."""

    def end_announcement(self, number: str) -> None:
        """Remove our treatment of a number."""

    def place_order(self, kind: OrderKind, numbers: Sequence[str]) -> str:
        """Order that numbers be uploaded or released; gives the order's id."""

    def wait_for_order(self, kind: OrderKind, order_id: str, deadline_s: float) -> None:
        """Wait until an order has ended; raises what its failure means."""


class PolicyBatchSystem(Protocol):
    """Operations that give one policy to many users, carried out later."""

    def begin_policy_operation(self, policy_type: str, policy: str | None, user_ids: Sequence[str], name: str) -> str:
        """Start one; gives its id. None takes direct policies away."""

    def named(self, name: str) -> PolicyOperation | None:
        """Find an operation by its name."""

    def operation(self, operation_id: str) -> PolicyOperation:
        """Read how far an operation is, and for whom it failed."""


class CallingSystem(Protocol):
    """Calling settings of users, which only PowerShell reaches."""

    def settings(self, user_id: str) -> dict[CallingGroup, Settings] | None:
        """Read the settings of a user by group; None for somebody whom Teams does not know."""

    def calls(self, user_id: str) -> TeamsCalls | None:
        """Read where the calls of a user go, and the delegates; None for somebody whom Teams does not know."""

    def sip_address(self, user_id: str) -> str | None:
        """Read a user's SIP address, which need not be the user principal name."""

    def set_group(self, user_id: str, group: CallingGroup, values: Mapping[str, JsonValue]) -> None:
        """Write one group whole."""


@dataclass(frozen=True)
class Systems:
    """The outside systems of one tenant; a part that a site does not have is None.

    The turnstile stands before the sessions of `skype`; a look reads so many objects at once.
    """

    graph: GraphSystem
    teams: TeamsSystem
    directory: DirectorySystem | None = None
    shell: ShellSystem | None = None
    numbering: NumberingSystem | None = None
    skype: SkypeSystem | None = None
    calling: CallingSystem | None = None
    turnstile: Turnstile | None = None
    reads_at_once: int = 1
    policy_batches: PolicyBatchSystem | None = None
