"""The stages of the cache's flow: read every source or those we touched, write what differs, tell what is degraded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from config.errors import InputRefused
from engine import cache, cache_calls, cache_touched, requests
from engine.cache import DatabaseOnly, Keeper
from engine.cache_few import some_users
from engine.cache_sources import Unanswered, everything, of_directory, of_groups, of_servers, without_tenant
from engine.cache_sync import Reading, Removals, SyncResult, sync
from engine.cache_touched import Touched
from engine.leases import LeaseHeld
from engine.opening import open_directory, open_servers
from engine.runtime import utc_now
from tasks.presets import READ
from tasks.stage import stage
from tasks.work import Work, open_work


@stage(READ)
def sync_everything(request_id: str, *, full: bool) -> dict[str, Any]:
    """Sync every source of the site; a tenant that cannot be asked leaves the rest of them synced."""
    begun = Touched(utc_now())
    with open_work() as work, _asked(work, full=full) as (keeper, readings):
        limits = work.settings.cache
        result = sync(keeper, readings, Removals(limits.removed, limits.removed_percent), note=begun.mark())
        return _told(work, request_id, result)


@stage(READ)
def sync_touched(request_id: str) -> dict[str, Any]:
    """Read again whom we changed since the last look."""
    with open_work() as work:
        with work.database.read() as connection:
            found, current = cache_touched.touched(connection, utc_now()), cache.generation(connection)
            found = found.with_users(cache.keys_by_link(connection, "users", current, found.accounts))
        if not found.users:
            return _told(work, request_id, SyncResult(current, [], 0))
        with work.runtime() as runtime:
            calls = work.settings.cache.calling_users
            readings = some_users(runtime, found, groups=_named_groups(work), calls=calls)
            try:
                result = sync(runtime, readings, note=found.mark())
            except LeaseHeld as held:  # a whole sync is at work: the next look, in ten minutes, finds them as well
                return _told(work, request_id, SyncResult(current, [], 0)) | {"skipped": str(held)}
        return _told(work, request_id, result)


@contextmanager
def _asked(work: Work, *, full: bool) -> Iterator[tuple[Keeper, list[Reading]]]:
    """Open what can be opened and give what to read."""
    with work.database.read() as connection:
        links = {each.source: each.link for each in cache.freshness(connection)}
    limits = work.settings.cache
    most = limits.forwarding_users
    with ExitStack() as stack:
        try:
            keeper: Keeper
            keeper = runtime = stack.enter_context(work.runtime())
            link = "" if full else links.get("users", "")
            readings = everything(runtime, link=link, forwarding=most, calls=limits.calling_users)
            readings += _groups(work, lambda groups: of_groups(runtime, groups))
        except InputRefused as error:
            directory = stack.enter_context(open_directory(work.settings, work.database))
            skype = stack.enter_context(open_servers(work.settings, work.database))
            keeper = DatabaseOnly(work.database, work.limits)
            readings = without_tenant(str(error), *of_directory(directory), *of_servers(skype, keeper, most))
            unasked = Unanswered("groups", str(error))
            readings += _groups(work, lambda groups: [unasked] if groups else [])
            if work.settings.powershell is not None and limits.calling_users:
                readings.append(Unanswered(cache_calls.SOURCE, str(error)))
        yield keeper, readings


def _groups(work: Work, of: Callable[[set[str]], list[Reading]]) -> list[Reading]:
    """Give the groups that the site's templates name; a site policy that cannot be read is the source's trouble."""
    try:
        return of(_of_templates(work))
    except InputRefused as error:
        return [Unanswered("groups", str(error))]


def _of_templates(work: Work) -> set[str]:
    """Name the groups that the site's templates look at or put people into. Raises InputRefused."""
    return {group for each in work.site.templates for group in (*each.match.groups, *each.join_groups)}


def _named_groups(work: Work) -> set[str]:
    """Name the groups of the templates; none while the site policy cannot be read."""
    try:
        return _of_templates(work)
    except InputRefused:
        return set()


def _told(work: Work, request_id: str, result: SyncResult) -> dict[str, Any]:
    """Record what came of it, raise an alert for each source in trouble, clear those that are well again."""
    summary: dict[str, Any] = {
        "request_id": request_id,
        "generation": result.generation,
        "users_changed": result.views,
        "sources": {
            each.source: {"read": each.read, "written": each.written, "removed": each.removed, "trouble": each.trouble}
            for each in result.sources
        },
        "degraded": [each.source for each in result.sources if each.trouble],
    }
    with work.database.write() as connection:
        for each in result.sources:
            cause = f"cache degraded: {each.source}"
            if each.trouble:
                requests.raise_alert(connection, cause, each.trouble, request_id, utc_now())
            else:
                requests.clear_alert(connection, cause, utc_now())
        requests.close_request(connection, request_id, "finished", summary, utc_now())
    return summary
