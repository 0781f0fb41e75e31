"""The site policy: a folder with `pools.toml`, templates and `mappings/*.toml`, read and checked as a whole.

Templates are written as `templates.yaml` or as `templates.toml`; it is one model either way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from config.errors import InputRefused
from config.site_approvals import ApprovalRules
from config.site_lifecycle import LifecycleRules
from config.site_mappings import FeedMapping
from config.site_names import MoreNames, Names, names_of
from config.site_pools import Forbidden, LocationRule, SitePart, SitePool, overlap
from config.site_templates import LifecycleTemplate
from config.toml_files import load_toml
from config.yaml_files import load_yaml

TEMPLATE_FILES = ("templates.yaml", "templates.yml", "templates.toml")


class _PoolsFile(SitePart):
    pools: tuple[SitePool, ...]
    forbidden: tuple[Forbidden, ...] = ()
    emergency_locations: tuple[LocationRule, ...] = ()


class _TemplatesFile(SitePart):
    templates: tuple[LifecycleTemplate, ...]


class SitePolicy(SitePart):
    """What one site decided: its pools and its templates."""

    folder: Path
    pools: tuple[SitePool, ...]
    templates: tuple[LifecycleTemplate, ...]
    approvals: ApprovalRules = ApprovalRules()
    forbidden: tuple[Forbidden, ...] = ()
    lifecycle: LifecycleRules = LifecycleRules()
    emergency_locations: tuple[LocationRule, ...] = ()
    more_names: MoreNames = MoreNames()

    def names(self, other_pools: Iterable[str] = ()) -> Names:
        """Give the names that forms offer; `other_pools` are those that a command made."""
        return names_of(self.pools, self.templates, self.emergency_locations, self.more_names, other_pools)

    def emergency_location(self, number_type: str, country: str = "", site: str = "") -> str | None:
        """Give the location that the first fitting rule names for numbers whose pool names none."""
        rules = (rule for rule in self.emergency_locations if rule.fits(number_type, country, site))
        return next((rule.location for rule in rules), None)

    def pool(self, name: str) -> SitePool:
        """Give a pool by name; raises InputRefused naming those there are."""
        found = next((pool for pool in self.pools if pool.name == name), None)
        if found is None:
            raise _unknown("pool", name, [pool.name for pool in self.pools], self.folder / "pools.toml")
        return found

    def template(self, name: str) -> LifecycleTemplate:
        """Give a template by name; raises InputRefused naming those there are."""
        found = next((template for template in self.templates if template.name == name), None)
        if found is None:
            names = [template.name for template in self.templates]
            raise _unknown("template", name, names, self.templates_file)
        return found

    @property
    def templates_file(self) -> Path:
        """Give the file that holds the templates; raises InputRefused when there are two."""
        return templates_file(self.folder)

    def mappings(self) -> tuple[str, ...]:
        """List the mappings of the site."""
        return tuple(sorted(path.stem for path in (self.folder / "mappings").glob("*.toml")))


def read_site(folder: Path) -> SitePolicy:
    """Read the site policy; raises InputRefused with one line naming file, key and remedy."""
    if not folder.is_dir():
        remedy = "correct site in the settings (CALLWRIGHT_SITE)"
        raise InputRefused("there is no such folder of site policy", where=str(folder), remedy=remedy)
    file = load_toml(folder / "pools.toml", _PoolsFile)
    pools = file.pools
    templates = read_templates(templates_file(folder))
    _refuse_twice("pool", [pool.name for pool in pools], folder / "pools.toml")
    _refuse_overlap(pools, folder / "pools.toml")
    return SitePolicy(
        folder=folder,
        pools=pools,
        templates=templates,
        approvals=read_approvals(folder),
        forbidden=file.forbidden,
        lifecycle=read_lifecycle(folder),
        emergency_locations=file.emergency_locations,
        more_names=read_names(folder),
    )


def templates_file(folder: Path) -> Path:
    """Find the file of templates; raises InputRefused when there are two, for nobody could say which one counts."""
    found = [path for name in TEMPLATE_FILES if (path := folder / name).is_file()]
    if len(found) > 1:
        what = f"there are {' and '.join(path.name for path in found)}"
        raise InputRefused(what, where=str(folder), remedy="keep the templates in one of them and delete the other")
    return found[0] if found else folder / TEMPLATE_FILES[-1]


def read_templates(path: Path) -> tuple[LifecycleTemplate, ...]:
    """Read a file of templates, YAML or TOML by its name; raises InputRefused."""
    is_yaml = path.suffix in (".yaml", ".yml")
    templates = (load_yaml if is_yaml else load_toml)(path, _TemplatesFile).templates
    _refuse_twice("template", [template.name for template in templates], path)
    return templates


def read_approvals(folder: Path) -> ApprovalRules:
    """Read when plans need an approval; a site without the file wants none. Raises InputRefused."""
    path = folder / "approvals.toml"
    return load_toml(path, ApprovalRules) if path.is_file() else ApprovalRules()


def read_lifecycle(folder: Path) -> LifecycleRules:
    """Read what happens to leavers; a site without the file keeps the defaults. Raises InputRefused."""
    path = folder / "lifecycle.toml"
    return load_toml(path, LifecycleRules) if path.is_file() else LifecycleRules()


def read_names(folder: Path) -> MoreNames:
    """Read what a site knows beside what its pools and templates name; the file is optional. Raises InputRefused."""
    path = folder / "names.toml"
    return load_toml(path, MoreNames) if path.is_file() else MoreNames()


def read_mapping(place: Path, site: Path | None = None) -> FeedMapping:
    """Read a feed mapping: a TOML file, or the name of one in the site's `mappings`; raises InputRefused."""
    if site is not None and place.suffix != ".toml" and not place.is_file():
        named = site / "mappings" / f"{place}.toml"
        if not named.is_file():
            names = [path.stem for path in (site / "mappings").glob("*.toml")]
            raise _unknown("mapping", str(place), names, site / "mappings")
        return load_toml(named, FeedMapping)
    return load_toml(place, FeedMapping)


def _refuse_twice(what: str, names: list[str], path: Path) -> None:
    if not names:
        raise InputRefused(f"{what}s is empty", where=str(path), remedy=f"add a [[{what}s]]")
    counted = Counter(name.casefold() for name in names)
    twice = next((name for name in names if counted[name.casefold()] > 1), None)
    if twice:
        raise InputRefused(f"there are two {what}s named {twice}", where=str(path), remedy="rename one of them")


def _refuse_overlap(pools: tuple[SitePool, ...], path: Path) -> None:
    if text := overlap(pools):
        raise InputRefused(text, where=f"{path}: pools", remedy="take it out of one of them")


def _unknown(what: str, name: str, names: list[str], place: Path) -> InputRefused:
    return InputRefused(
        f"there is no {what} {name}", where=str(place), remedy=f"name one of {', '.join(sorted(names))}"
    )
