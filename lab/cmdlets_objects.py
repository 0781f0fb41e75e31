"""New-, Set-, Get- and Remove- for one kind of configuration object, made from a description of its properties."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lab import objects
from lab.cmdlets import Call, Cmdlet, Parameter, allowed, needed
from lab.cmdlets_host import Host, teams_host
from lab.posh_compare import wildcard
from lab.posh_values import Hashtable, PsObject, Value, as_list, to_text
from lab.records import ConfigObject, Effect, Json
from lab.rules import bad_request
from lab.tenant import Tenant, View

MODULE = "MicrosoftTeams"
MODELS = "Microsoft.Teams.ConfigAPI.Cmdlets.Generated.Models."
_CHANGES = ("add", "remove", "replace")


@dataclass
class Draft:
    """An object on its way into the configuration: what it was, what it shall be."""

    tenant: Tenant
    call: Call
    name: str
    before: ConfigObject | None
    after: dict[str, Json]

    def names(self, key: str) -> list[str]:
        """Give a list property as texts."""
        return objects.names(self.after, key)

    def text(self, key: str) -> str:
        """Give a property as text, '' when it is missing."""
        return str(self.after.get(key) or "")


Read = Callable[[Value], Json]


@dataclass(frozen=True)
class Property:
    """One property that is also a parameter; a `list` one takes `@{Add=…}`, `@{Remove=…}` and `@{Replace=…}`."""

    name: str
    kind: str = "string"
    default: Json = None
    required: bool = False  # by New-
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    read: Read | None = None  # one element of a list, when it is not a text

    def parameter(self, *, making: bool) -> Parameter:
        """Give the parameter of New- or Set-."""
        kind = "any" if self.kind == "list" else self.kind
        sets = needed() if self.required and making else {"*": False}
        return Parameter(self.name, kind, self.aliases, sets=sets, choices=self.choices)


def _allow(_draft: Draft) -> None:
    """Find nothing wrong."""


def _unused(_tenant: Tenant, _name: str) -> str:
    return ""


def _nothing(_tenant: Tenant, _name: str) -> list[Effect]:
    return []


@dataclass(frozen=True)
class Noun:
    """A kind of object: its name in cmdlets, its properties, what New and Set check, and who may use it."""

    name: str  # the part after `Cs`, also the kind in the configuration
    properties: tuple[Property, ...]
    identities: tuple[str, ...] = ("Identity",)  # the parameters of New- that name it; one of them
    check: Callable[[Draft], None] = _allow
    user: Callable[[Tenant, str], str] = _unused  # what keeps an object from being removed
    then: Callable[[Tenant, str], list[Effect]] = _nothing  # what follows from a change, also from a removal
    verbs: frozenset[str] = frozenset({"New", "Set", "Get", "Remove"})
    module: str = MODULE
    shown: Callable[[ConfigObject], Iterable[tuple[str, Value]]] | None = None
    switches: tuple[str, ...] = field(default_factory=tuple)  # accepted, without an effect
    enter: Callable[[Call], Host] = teams_host

    def cmdlets(self) -> tuple[Cmdlet, ...]:
        """Give the cmdlets of this kind."""
        made = (("New", self._new()), ("Set", self._set()), ("Get", self._get()), ("Remove", self._remove()))
        return tuple(cmdlet for verb, cmdlet in made if verb in self.verbs)

    def _new(self) -> Cmdlet:
        # With alternatives, each is a parameter set of its own.
        several = len(self.identities) > 1
        names = tuple(
            Parameter(name, position=0, sets=needed(name) if several else needed(), from_property=True)
            for name in self.identities
        )
        rest = tuple(item.parameter(making=True) for item in self.properties)
        return Cmdlet(
            f"New-Cs{self.name}",
            lambda call: new(self, call),
            (*names, *rest, *_switches(self)),
            default_set=self.identities[0] if several else "*",
            module=self.module,
            changes=True,
        )

    def _set(self) -> Cmdlet:
        rest = tuple(item.parameter(making=False) for item in self.properties)
        return Cmdlet(
            f"Set-Cs{self.name}",
            lambda call: change(self, call),
            (_identity(sets=needed()), *rest, *_switches(self)),
            module=self.module,
            changes=True,
        )

    def _get(self) -> Cmdlet:
        return Cmdlet(
            f"Get-Cs{self.name}",
            lambda call: show(self, call),
            (_identity(sets=allowed("Identity")), Parameter("Filter", sets=allowed("Filter"))),
            default_set="Identity",
            module=self.module,
        )

    def _remove(self) -> Cmdlet:
        return Cmdlet(
            f"Remove-Cs{self.name}",
            lambda call: remove(self, call),
            (_identity(sets=needed()), *_switches(self)),
            module=self.module,
            changes=True,
        )


def _identity(*, sets: dict[str, bool]) -> Parameter:
    return Parameter("Identity", position=0, sets=sets, from_value=True, from_property=True)


def _switches(noun: Noun) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, "switch") for name in (*noun.switches, "Force"))


def new(noun: Noun, call: Call) -> Iterable[Value]:
    """New-Cs…: gives the object that was made."""
    host = noun.enter(call)
    name = next((call.text(key) for key in noun.identities if call.has(key)), "")
    made: list[ConfigObject] = []

    def act() -> list[Effect]:
        tenant = host.parts.tenant
        with tenant.lock:
            if objects.find(tenant, noun.name, name):
                raise bad_request(f'Item "{name}" of type {noun.name} already exists')
            draft = Draft(tenant, call, name, None, _given(noun, call, {p.name: p.default for p in noun.properties}))
            noun.check(draft)
            effects = objects.store(tenant, noun.name, name, draft.after)
            made.append(objects.get(tenant, noun.name, name))
            return effects + noun.then(tenant, name)

    answer = list(host.write(call, act, [name]))
    return [*answer, *(shown(noun, row) for row in made)]


def change(noun: Noun, call: Call) -> Iterable[Value]:
    """Set-Cs…: replaces the given properties; says nothing."""
    host, name = noun.enter(call), call.text("Identity")

    def act() -> list[Effect]:
        tenant = host.parts.tenant
        with tenant.lock:
            before = objects.get(tenant, noun.name, name)
            draft = Draft(tenant, call, before.name, before, _given(noun, call, dict(before.details)))
            noun.check(draft)
            return objects.store(tenant, noun.name, before.name, draft.after) + noun.then(tenant, before.name)

    return host.write(call, act, [name])


def remove(noun: Noun, call: Call) -> Iterable[Value]:
    """Remove-Cs…: refused while something uses the object."""
    host, name = noun.enter(call), call.text("Identity")

    def act() -> list[Effect]:
        tenant = host.parts.tenant
        with tenant.lock:
            found = objects.get(tenant, noun.name, name)
            if used := noun.user(tenant, found.name):
                raise bad_request(f'"{found.name}" can not be removed: it is used by {used}')
            return objects.drop(tenant, noun.name, name) + noun.then(tenant, found.name)

    return host.write(call, act, [name])


def show(noun: Noun, call: Call) -> Iterable[Value]:
    """Get-Cs…: one object, those a wildcard finds, or all."""

    def look(view: View) -> Iterable[Value]:
        if call.has("Identity"):
            return [shown(noun, objects.get(view.tenant, noun.name, call.text("Identity")))]
        pattern = wildcard(call.text("Filter") or "*")
        rows = [shown(noun, row) for row in objects.every(view.tenant, noun.name)]
        return [row for row in rows if pattern.match(row.text or "")]

    return noun.enter(call).read(call, look, [call.text("Identity")])


def shown(noun: Noun, row: ConfigObject) -> PsObject:
    """Show an object: its identity and its properties."""
    is_policy = row.kind.endswith(("Policy", "DialPlan", "Identity"))
    identity = f"Tag:{row.name}" if is_policy and row.name != "Global" else row.name
    props: list[tuple[str, Value]] = [("Identity", identity)]
    props += [(item.name, _value(noun, item, row.details.get(item.name, item.default))) for item in noun.properties]
    if noun.shown:
        props += noun.shown(row)
    return PsObject(props, types=(MODELS + noun.name, "System.Object"), adapted=True, text=identity)


def _value(noun: Noun, item: Property, value: Json) -> Value:
    if item.kind != "list":
        return value
    found = value if isinstance(value, list | tuple) else []
    return [record(f"{MODELS}{noun.name}{item.name}", one) if isinstance(one, dict) else one for one in found]


def record(type_: str, row: dict[str, Json]) -> PsObject:
    """Make an object of a table of properties."""
    props: list[tuple[str, Value]] = [(str(name), value) for name, value in row.items()]
    return PsObject(props, types=(type_, "System.Object"), adapted=True, text=str(row.get("Name") or "") or None)


def _given(noun: Noun, call: Call, details: dict[str, Json]) -> dict[str, Json]:
    """Put the given parameters over the details."""
    for item in noun.properties:
        if call.has(item.name):
            value, before, is_list = call.bound.get(item.name), details.get(item.name), item.kind == "list"
            details[item.name] = modified(before, value, item.read) if is_list else plain(value)
    return details


def plain(value: Value) -> Json:
    """Bring a bound argument to JSON."""
    return value if value is None or isinstance(value, bool | int | float | str) else to_text(value)


def modified(before: Json, value: Value, read: Read | None = None) -> list[Json]:
    """Apply a plain list, which replaces, or a table of changes to a list; an element is there once."""
    take = read or to_text
    found: list[Json] = list(before) if isinstance(before, list | tuple) else []
    if not isinstance(value, Hashtable):
        return _once([take(item) for item in as_list(value)])
    for key, given in value.items():
        change_ = to_text(key).lower()
        if change_ not in _CHANGES:
            raise bad_request(f"'{to_text(key)}' is not a change of a list: use Add, Remove or Replace.")
        items = [take(item) for item in as_list(given)]
        if change_ == "remove":
            gone = {_key(item) for item in items}
            found = [item for item in found if _key(item) not in gone]
        else:
            found = items if change_ == "replace" else [*found, *items]
    return _once(found)


def _once(items: list[Json]) -> list[Json]:
    first: dict[str, Json] = {}
    for item in items:
        first.setdefault(_key(item), item)
    return list(first.values())


def _key(item: Json) -> str:
    name = item.get("Name") if isinstance(item, dict) else item
    return str(name).casefold()
