"""Number pools as a site writes them in `pools.toml`; taken and free numbers are left to the inventory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

PoolType = Literal["directRouting", "callingPlan", "operatorConnect", "teamsPhoneMobile", "onPremises"]

NumberClass = Literal["ordinary", "vanity", "service", "emergencyCallback"]

_E164 = re.compile(r"\+([1-9]\d{1,14})(?:;ext=(\d{1,10}))?", re.ASCII)


def _number(text: str) -> str:
    if not _E164.fullmatch(text):
        raise ValueError(f"{text!r} is no number: write it like +4312345 or +4312345;ext=12")
    return text


def _country(text: str) -> str:
    if not re.fullmatch("[A-Z]{2}", text):
        raise ValueError("must be a two-letter country code such as AT")
    return text


Number = Annotated[str, AfterValidator(_number)]
Country = Annotated[str, AfterValidator(_country)]


class Stretch(NamedTuple):
    """Numbers that follow each other in one space: plain numbers, or extensions of one length on one base."""

    space: str
    first: int
    last: int


class SitePart(BaseModel):
    """A part of the site policy: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class NumberRange(SitePart):
    """Numbers from `start` to `end`, both included; with extensions the base is the same in both."""

    start: Number
    end: Number
    reason: str = Field("", description="why a withheld range is withheld")

    @model_validator(mode="after")
    def _is_in_order(self) -> Self:
        start, end = stretch_of(self.start), stretch_of(self.end)
        if start.space != end.space:
            raise ValueError(f"{self.start} and {self.end} are not of one length or base")
        if start.first > end.first:
            raise ValueError(f"{self.start} comes after {self.end}: swap start and end")
        return self

    @property
    def stretch(self) -> Stretch:
        """Give the range as integers."""
        start, end = stretch_of(self.start), stretch_of(self.end)
        return Stretch(start.space, start.first, end.last)


def _ranges(value: object) -> object:
    return [{"start": item, "end": item} if isinstance(item, str) else item for item in _listed(value)]


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


class Forbidden(SitePart):
    """Numbers that nobody in a country may be given, such as those of emergency services; withheld in every pool."""

    country: Country
    ranges: Annotated[tuple[NumberRange, ...], BeforeValidator(_ranges)]
    reason: str = Field(min_length=1)


class LocationRule(SitePart):
    """Which emergency location numbers get whose pool names none; what the rule leaves out fits everything."""

    location: str = Field(min_length=1, description="id or description of the LIS location")
    country: Country | None = None
    site: str | None = None
    number_type: PoolType | None = None

    def fits(self, number_type: str, country: str, site: str) -> bool:
        """Tell whether numbers of this type, country and site are meant."""
        pairs = ((self.number_type, number_type), (self.country, country), (self.site, site))
        return all(wanted in (None, found) for wanted, found in pairs)


class SitePool(SitePart):
    """A pool: numbers of one site, kind and class that are given out from the lowest."""

    name: str = Field(min_length=1)
    site: str = ""
    country: Country
    number_type: PoolType
    number_class: NumberClass = Field("ordinary", description="ordinary, vanity, service or emergencyCallback")
    carrier: str = Field("", max_length=80, description="who supplies the numbers")
    tags: tuple[str, ...] = Field((), description="words to find the pool by")
    ranges: tuple[NumberRange, ...] = ()
    numbers: tuple[Number, ...] = Field((), description="scattered numbers")
    withheld: Annotated[tuple[NumberRange, ...], BeforeValidator(_ranges)] = Field(
        (), description="ranges or single numbers of this pool that are never given out"
    )
    unusual: Literal["warn", "refuse"] = "warn"
    base_with_extensions: bool = Field(False, description="a base may have an owner beside its extensions")
    emergency_location: str | None = Field(None, description="id or description of the LIS location")

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        held = list(self.stretches())
        if not held:
            raise ValueError(f"pool {self.name} has no numbers: add ranges or numbers")
        for withheld in self.withheld:
            if not any(_within(withheld.stretch, stretch) for stretch in held):
                raise ValueError(
                    f"pool {self.name} does not hold its withheld range {withheld.start} to {withheld.end}"
                )
        return self

    def stretches(self) -> Iterator[Stretch]:
        """Give the pool's ranges and scattered numbers as integers."""
        yield from (found.stretch for found in self.ranges)
        yield from (stretch_of(number) for number in self.numbers)


def stretch_of(number: str) -> Stretch:
    """Give one E.164 number as a stretch of one."""
    match = _E164.fullmatch(number)
    if match is None:
        raise ValueError(f"{number!r} is no number")
    base, extension = match.groups()
    if extension is None:
        return Stretch(f"+{len(base)} digits", int(base), int(base))
    return Stretch(f"+{base};ext={len(extension)} digits", int(extension), int(extension))


def overlap(pools: Iterable[SitePool]) -> str | None:
    """Name the first two pools that hold the same number, and that number; None when there are none."""
    held = sorted((stretch, pool.name) for pool in pools for stretch in pool.stretches())
    reach: tuple[Stretch, str] | None = None
    for stretch, name in held:
        if reach and reach[0].space == stretch.space and stretch.first <= reach[0].last:
            return f"pools {reach[1]} and {name} both hold {_text(stretch)}"
        reach = (stretch, name)
    return None


def _within(inner: Stretch, outer: Stretch) -> bool:
    return inner.space == outer.space and outer.first <= inner.first and inner.last <= outer.last


def _text(stretch: Stretch) -> str:
    base, marker, length = stretch.space.removesuffix(" digits").partition(";ext=")
    return f"{base};ext={stretch.first:0{int(length)}}" if marker else f"+{stretch.first}"
