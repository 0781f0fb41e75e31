"""Homes a share of the sample people on the on-premises servers, with lines, policies and certificates."""

from __future__ import annotations

import random
from datetime import timedelta

from lab import objects, skype
from lab.catalogue import SITES
from lab.records import Json, User
from lab.skype_records import Certificate, SkypeUser
from lab.tenant import Tenant

FIRST_OFFSET = 50_000  # on-premises lines lie far above the numbers of the cloud
CERTIFICATE_DAYS = 180


def home(tenant: Tenant, *, share: float, seed: int) -> None:
    """Move a share of the people on premises; every choice comes from the seed."""
    people = [user for user in tenant.users.values() if user.text("onPremisesSamAccountName")]
    chosen = random.Random(f"hybrid {seed}").sample(people, round(len(people) * share))
    for index, user in enumerate(chosen):
        _home(tenant, user, index)
    _ranges(tenant)


def _home(tenant: Tenant, user: User, index: int) -> None:
    """Make one user as if nobody had ever moved; three in five have a line."""
    tenant.unassign_all(user.id)
    sam, now = str(user.text("onPremisesSamAccountName")), tenant.clock.now()
    names = skype.pools(tenant)
    skype.enable(tenant, sam, f"sip:{user.upn}", names[index % len(names)])
    folded, has_line = sam.casefold(), index % 5 < 3
    issued = now - timedelta(days=index % CERTIFICATE_DAYS)
    certificate = Certificate(issued, issued + timedelta(days=CERTIFICATE_DAYS))
    known = tenant.skype[folded]
    policies = {"VoicePolicy": "National", "DialPlan": "Vienna"} if has_line else {}
    tenant.skype[folded] = SkypeUser(
        known.sam,
        known.sip_address,
        known.pool,
        enterprise_voice=has_line,
        policies=policies,
        certificates=(certificate,),
        changed_at=now,
    )
    if has_line:
        site = SITES[index % len(SITES)]
        tenant.set_ad_user(sam, {"msRTCSIP-Line": f"tel:+{site.first_number + FIRST_OFFSET + index}"})


def _ranges(tenant: Tenant) -> None:
    """Make one unassigned range and two orbit ranges."""
    pool = skype.pools(tenant)[0]
    park = f"ApplicationServer:{pool}"
    unassigned: dict[str, Json] = {"NumberRangeStart": "tel:+431934690000", "NumberRangeEnd": "tel:+431934690999"}
    unassigned |= {"AnnouncementService": park, "AnnouncementName": "Not-In-Use", "Priority": 0}
    objects.store(tenant, "UnassignedNumber", "Vienna", unassigned)
    for name, first, kind in (("Park", 100, "CallPark"), ("Pickup", 200, "GroupPickup")):
        orbit: dict[str, Json] = {"NumberRangeStart": f"#{first + 1}", "NumberRangeEnd": f"#{first + 99}"}
        objects.store(tenant, "CallParkOrbit", name, {**orbit, "CallParkService": park, "Type": kind})


def adopt(tenant: Tenant) -> None:
    """Make users of the servers of who is homed on premises, where the loaded tenant says no more about the servers."""
    if tenant.skype_pools:
        return
    for voice in list(tenant.voices.values()):
        user = tenant.users.get(voice.user_id)
        sam = (user.text("onPremisesSamAccountName") or "").casefold() if user else ""
        if user is None or not voice.homed_on_premises or sam not in tenant.ad_users:
            continue
        line = skype.line_of(tenant, sam)
        tenant.skype[sam] = SkypeUser(sam, f"sip:{user.upn}", skype.pools(tenant)[0], enterprise_voice=bool(line))
        tenant.skype_by_sip[user.upn.casefold()] = sam
