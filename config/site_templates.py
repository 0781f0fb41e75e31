"""Lifecycle templates as a site writes them, in YAML or TOML; choosing one is left to `datasets/templates.py`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from config.site_calling import Calling
from config.site_pools import PoolType, SitePart
from config.user_types import UserType, inapplicable, unknown_policy

WriteBack = Literal["telephoneNumber", "ipPhone"]


class NumberSource(StrEnum):
    """Where a person's number comes from: a pool, one of four telephone attributes, or nowhere."""

    NUMBER_RANGE = "NumberRange"
    HOME = "Home"
    MOBILE = "Mobile"
    IP_PHONE = "IpPhone"
    PHONE = "Phone"
    NONE = "none"


def policies_known(policies: dict[str, str]) -> dict[str, str]:
    """Refuse a policy type that Teams does not have, and a policy without a name."""
    for kind, name in policies.items():
        if said := unknown_policy(kind):
            raise ValueError(said)
        if not name.strip():
            raise ValueError(f"policy {kind} has no name: leave it out to leave it alone")
    return policies


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


Values = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_one_or_many)]


class Match(SitePart):
    """Whom a template is for: every attribute that is named must have one of its values, upper or lower case alike."""

    department: Values = ()
    location: Values = ()
    usage_location: Values = ()
    company: Values = ()
    worker_type: Values = ()
    groups: Values = Field((), description="names or ids of groups; membership in one is enough")


class PoolRule(SitePart):
    """Which pool a person takes a number from: the first rule counts whose named attributes all fit."""

    pool: str = Field(min_length=1)
    usage_location: Values = ()
    location: Values = ()
    department: Values = ()
    company: Values = ()
    worker_type: Values = ()

    @model_validator(mode="after")
    def _says_whom(self) -> Self:
        if not any(getattr(self, name) for name in RULE_ATTRIBUTES):
            raise ValueError(f"a rule for pool {self.pool} names no attribute: use pool for everybody else")
        return self


RULE_ATTRIBUTES = ("usage_location", "location", "department", "company", "worker_type")


class OnLeave(SitePart):
    """What is taken back from somebody whom no template is for any more; a number never is."""

    policies: bool = Field(False, description="revoke the policies that templates granted")
    licences: bool = Field(False, description="remove the licences that templates gave, but not from under a number")
    groups: bool = Field(False, description="take people out of the groups that templates put them into")


class LifecycleTemplate(SitePart):
    """What a person matched by it gets: a number from somewhere, licences, policies and directory attributes."""

    name: str = Field(min_length=1)
    priority: int = Field(100, ge=1, description="1 is the strongest; of equals the first by name wins")
    match: Match = Match()
    user_type: UserType = Field(UserType.ENTERPRISE, description="decides which policies apply; see the matrix")
    number_source: NumberSource = NumberSource.NUMBER_RANGE
    pool: str | None = Field(None, description="where NumberRange takes from; other sources must lie in it")
    pool_rules: tuple[PoolRule, ...] = Field((), description="which pool by the person's data; pool is for the rest")
    number_type: PoolType = Field("directRouting", description="of numbers that come from no pool")
    licences: Values = Field((), description="SKU part numbers")
    enterprise_voice: bool = True
    policies: Annotated[dict[str, str], AfterValidator(policies_known)] = Field({}, description="policy type = name")
    new_number_on: Literal["never", "country", "site"] = Field(
        "never", description="a move that changes a live number: to another country, or to another site"
    )
    policies_converge: bool = Field(True, description="drift repair grants these policies again")
    join_groups: tuple[Annotated[str, Field(min_length=1, max_length=90)], ...] = Field(
        (), description="groups, by name or id, that people are made members of"
    )
    on_leave: OnLeave = Field(OnLeave(), description="what drift takes back when no template is theirs any more")
    calling: Calling = Field(Calling(), description="forwarding and unanswered calls")
    emergency_location: str | None = Field(None, description="id or description; default: that of the pool")
    write_back: tuple[WriteBack, ...] = Field((), description="directory attributes that receive the number")

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if self.number_source is NumberSource.NUMBER_RANGE and not self.pools:
            raise ValueError(f"template {self.name} takes numbers from a range but names no pool: add pool")
        if self.number_source is NumberSource.NONE and (self.pools or self.write_back):
            raise ValueError(f"template {self.name} gives no number: remove pool and write_back")
        return self

    @model_validator(mode="after")
    def _fits_its_user_type(self) -> Self:
        if said := inapplicable(self.user_type, self.policies):
            raise ValueError(f"template {self.name}: {said}; remove it or correct user_type")
        return self

    @property
    def pools(self) -> tuple[str, ...]:
        """Name every pool that it may take from."""
        named = [*(rule.pool for rule in self.pool_rules), *([self.pool] if self.pool else [])]
        return tuple(dict.fromkeys(named))
