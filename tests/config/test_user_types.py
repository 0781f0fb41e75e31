"""The matrix of user types and policies, written out once more by hand, in full."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from config.site_templates import LifecycleTemplate, NumberSource
from config.user_types import APPLICABLE, POLICY_TYPES, UserType, inapplicable, observed_type

# One letter for each type: Enterprise, Common area phone, Hybrid on premises, cloudBond, Analog device, Local.
GRID = """
ApplicationAccessPolicy                 E
CallingLineIdentity                     EC
DialoutPolicy                           E
ExternalAccessPolicy                    ECHB
OnlineAudioConferencingRoutingPolicy    E
OnlineVoiceRoutingPolicy                EC
OnlineVoicemailPolicy                   EC
TeamsAppPermissionPolicy                EH
TeamsAppSetupPolicy                     EH
TeamsCallHoldPolicy                     EC
TeamsCallParkPolicy                     EC
TeamsCallingPolicy                      EC
TeamsChannelsPolicy                     EH
TeamsEducationAssignmentsAppPolicy      EH
TeamsEmergencyCallRoutingPolicy         EC
TeamsEmergencyCallingPolicy             EC
TeamsIPPhonePolicy                      EC
TeamsMeetingBroadcastPolicy             EH
TeamsMeetingPolicy                      EH
TeamsMessagingPolicy                    EH
TeamsMobilityPolicy                     E
TeamsSharedCallingRoutingPolicy         EC
TeamsSurvivableBranchAppliancePolicy    EC
TeamsTemplatePermissionPolicy           EH
TeamsUpdateManagementPolicy             ECH
TeamsUpgradePolicy                      ECHB
TeamsVerticalPackagePolicy              EH
TeamsVideoInteropServicePolicy          EH
TeamsVoiceApplicationsPolicy            E
TenantDialPlan                          EC
"""
LETTERS = dict(zip("ECHBAL", UserType, strict=True))
ROWS = [line.split() for line in GRID.split("\n") if line]
CELLS = [(kind, policy, letter in marks) for policy, marks in ROWS for letter, kind in LETTERS.items()]


@pytest.mark.parametrize(("kind", "policy", "applies"), CELLS, ids=str)
def test_m61_a_template_may_set_exactly_what_applies(kind: UserType, policy: str, *, applies: bool) -> None:
    """M61, M92: every cell of the matrix, through the check that a template goes through."""
    values = {"name": "t", "number_source": NumberSource.NONE, "user_type": kind, "policies": {policy: "Some"}}
    if applies:
        assert LifecycleTemplate.model_validate(values).policies == {policy: "Some"}
        return
    with pytest.raises(ValidationError, match=f"{policy} does not apply to user type {kind}"):
        LifecycleTemplate.model_validate(values)


def test_the_matrix_is_whole() -> None:
    """Every user type and every policy type is in the matrix, and in the one written by hand."""
    assert set(APPLICABLE) == set(UserType)
    assert {policy for policy, _ in ROWS} == POLICY_TYPES
    assert len(CELLS) == 6 * len(POLICY_TYPES)


@pytest.mark.parametrize("planned", list(UserType))
def test_who_is_homed_on_premises_is_no_cloud_user(planned: UserType) -> None:
    """What Teams shows outweighs a template made for cloud users; other types stay what they are."""
    clouds = (UserType.ENTERPRISE, UserType.COMMON_AREA_PHONE)
    expected = UserType.HYBRID_ON_PREMISES if planned in clouds else planned
    assert observed_type(planned, "sfbOnPremUser") == expected
    assert observed_type(planned, "user") == observed_type(planned, None) == planned


def test_many_wrong_policies_are_counted() -> None:
    """The line names three and counts the rest."""
    assert "and 27 more does not apply to user type local" in inapplicable(UserType.LOCAL, POLICY_TYPES)
