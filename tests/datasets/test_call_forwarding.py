"""Which of several front ends' answers is the newest, and how call forwarding reads."""

from __future__ import annotations

import pytest

from datasets.call_forwarding import CallForwarding, KeptForwarding, newest

NEVER = KeptForwarding()
OLD, NEW, LAST = "to tel:+431", "to tel:+432", "to tel:+433"


def kept(forwarding: str, *older: str) -> KeptForwarding:
    """Give what was kept at noon."""
    return KeptForwarding(forwarding=forwarding, as_of="noon", older=older)


@pytest.mark.parametrize(
    ("before", "answers", "forwarding", "older"),
    [
        (NEVER, [OLD, OLD, OLD], OLD, ()),
        (NEVER, [OLD, NEW, OLD], NEW, (OLD,)),
        (NEVER, ["", "", NEW], NEW, ("",)),
        (kept(OLD), [NEW, OLD, OLD], NEW, (OLD,)),
        (kept(OLD), [NEW, NEW, OLD], NEW, (OLD,)),
        (kept(NEW, OLD), [OLD, NEW, OLD], NEW, (OLD,)),
        (kept(NEW, OLD), [OLD, NEW, LAST], LAST, (OLD, NEW)),
        (kept(NEW, OLD), [NEW, NEW, NEW], NEW, ()),
        (kept(NEW, OLD), [OLD, OLD, OLD], OLD, ()),
        (kept(NEW, OLD), [OLD, OLD], NEW, (OLD,)),
        (kept(OLD), [NEW], NEW, (OLD,)),
    ],
    ids=[
        "first-alike",
        "first-differing",
        "first-set",
        "changed-on-one",
        "changed-on-two",
        "still-behind",
        "changed-again",
        "agreed",
        "changed-back",
        "the-new-one-is-out",
        "the-old-ones-are-out",
    ],
)
def test_the_newest_answer_wins(
    before: KeptForwarding, answers: list[str], forwarding: str, older: tuple[str, ...]
) -> None:
    """M99: what was not known before is newer, in whatever order the three front ends answer."""
    for turned in (answers, answers[::-1]):
        found = newest(turned, 3, before, "now")
        assert (found.forwarding, found.as_of) == (forwarding, "now")
        assert set(found.older) == set(older)


def test_call_forwarding_reads_as_one_would_say_it() -> None:
    """Every place where calls go is in the text; unanswered calls do not matter while all are forwarded."""
    ringing = CallForwarding(sip_address="a@b", rings_too="tel:+431", unanswered_to="Voicemail")
    assert ringing.text == "rings too tel:+431, unanswered to Voicemail"
    assert CallForwarding(sip_address="a@b", forwarded_to="tel:+431", unanswered_to="Voicemail").text == "to tel:+431"
    assert CallForwarding(sip_address="a@b").text == ""
