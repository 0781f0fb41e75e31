"""Sample users for the search benchmark: 24 columns of the kind a tenant has, and queries rare and common."""

from __future__ import annotations

import random
from collections.abc import Iterator

FIRST = ("Ada", "Björn", "Chloé", "Dmitri", "Émile", "Fatima", "Grace", "Hana", "Ioana", "Jürgen", "Keiko", "Łukasz")
LAST = ("Lovelace", "Müller", "O'Brien", "Østergård", "Nguyen", "García", "Kowalski", "Haddad", "Ito", "Rossi", "Šimek")
TOWNS = ("Vienna", "Tokyo", "Lisboa", "København", "Chicago", "Nairobi", "Kraków", "Zürich")
WORK = ("Sales", "Research", "Legal", "Operations", "Finance", "Support", "Engineering")
QUERIES = (
    "sales", "müller", "+4312345", "vienna", "østerg", "ada.love", "@contoso", "user77", "777", "no-such-thing",
    "4711", "finance", "kraków", "teamsonly", "e5", "zürich dial", "keiko ito", "id-99", "enterprise", "+81",
)  # fmt: skip


def users(count: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Give so many users: key and columns."""
    rng = random.Random(20261124)
    for n in range(count):
        first, last, town = rng.choice(FIRST), rng.choice(LAST), rng.choice(TOWNS)
        address = f"{first}.{last}{n}@contoso.example".lower().replace(" ", "")
        number = f"+43{rng.randrange(10**9, 10**10)}"
        yield (
            f"id-{n}",
            {
                "name": f"{first} {last}",
                "address": address,
                "number": number,
                "number_type": rng.choice(("directRouting", "callingPlan")),
                "voice": "yes",
                "account_type": "user",
                "enabled": "yes",
                "country": rng.choice(("AT", "JP", "PT", "DK", "US", "KE", "PL", "CH")),
                "department": rng.choice(WORK),
                "company": "Contoso",
                "employee_id": f"{n:08}",
                "mail": address,
                "licences": rng.choice(("SPE_E5", "SPE_E3, MCOEV", "MCOEV")),
                "routing": f"VRP-{town}",
                "dial_plan": f"{town} dial plan",
                "calling": "AllowCalling",
                "emergency": f"ECRP-{town}",
                "voicemail": "TranscriptionDisabled",
                "desk_phone": number,
                "mobile": f"+436{rng.randrange(10**8, 10**9)}",
            },
        )
