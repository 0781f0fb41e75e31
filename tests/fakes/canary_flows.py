"""Runs flows of ours on a Prefect server, with one canary after another in the place of a secret.

`python -m tests.fakes.canary_flows COUNT FEED`: settings and server come from the environment.
"""

from __future__ import annotations

import os
import sys

from tests.fakes.canaries import PLACES, canary


def use(number: int, original: dict[str, str]) -> None:
    """Put a canary into its place; everything else is as it was."""
    for name in [name for name in os.environ if name.startswith("CALLWRIGHT_")]:
        del os.environ[name]
    place = PLACES[number % len(PLACES)]
    os.environ.update(original | {"A_SECRET": canary(number), f"CALLWRIGHT_{place}": "env:A_SECRET"})
    if place == "TENANT__PRIVATE_KEY":
        del os.environ["CALLWRIGHT_TENANT__CLIENT_SECRET"]
        os.environ["CALLWRIGHT_TENANT__CERTIFICATE"] = original["CALLWRIGHT_TENANT__CA_BUNDLE"]


def main(count: int, feed: str) -> None:
    """Run an onboarding, a rollback and a reconcile with each canary."""
    from flows.onboarding import OnboardingRequest, onboard
    from flows.reconcile import ReconcileRequest, reconcile
    from flows.rollback import RollbackRequest, roll_back

    original = {name: value for name, value in os.environ.items() if name.startswith("CALLWRIGHT_")}
    for number in range(count):
        use(number, original)
        onboard(OnboardingRequest(feed=feed, mapping="workday"), return_state=True)
        roll_back(RollbackRequest(run=f"r-{number}"), return_state=True)
        reconcile(ReconcileRequest(), return_state=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
