"""What the sample tenant bought and configured: products with their services, sites with ranges, policies."""

from __future__ import annotations

from dataclasses import dataclass

from lab.records import Json, ServicePlan

TEAMS = ServicePlan("57ff2da0-773e-42df-b2af-ffb7a2317929", "TEAMS1", "Teams")
PHONE = ServicePlan("4828c8ec-dc2e-4779-b502-87ac9ce28ab7", "MCOEV", "PhoneSystem")
CONFERENCING = ServicePlan("3e26ee1f-8a5f-4d52-aee2-b81ce45c8f40", "MCOMEETADV", "AudioConferencing")
CALLING = ServicePlan("4ed3ff63-69d7-4fb7-b984-5aec7f605ca8", "MCOPSTN1", "CallingPlan")
VIRTUAL = ServicePlan("f47330e9-c134-43b3-9993-e7f004506889", "MCOEV_VIRTUALUSER", "PhoneSystemVirtualUser")
SKYPE = ServicePlan("0feaeb32-d00e-4d66-bd5a-43b5b83db82c", "MCOSTANDARD")
MAIL = ServicePlan("efb87545-963c-4e0d-99df-69c6916d9eb0", "EXCHANGE_S_ENTERPRISE")

E5 = "06ebc4ee-1bb5-47dd-8120-11324bc54e06"
E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"
PHONE_ADD_ON = "e43b5b99-8dfb-405f-9987-dc307f34bcbd"
CALLING_ADD_ON = "0dab259f-bf13-4952-b7f8-7db8f131b28d"
VIRTUAL_USER = "440eaaa8-b3e0-484b-a8be-62870b9ba70a"

# Product id → (part number, services).
PRODUCTS: dict[str, tuple[str, tuple[ServicePlan, ...]]] = {
    E5: ("SPE_E5", (TEAMS, PHONE, CONFERENCING, SKYPE, MAIL)),
    E3: ("SPE_E3", (TEAMS, SKYPE, MAIL)),
    PHONE_ADD_ON: ("MCOEV", (PHONE,)),
    CALLING_ADD_ON: ("MCOPSTN1", (CALLING,)),
    VIRTUAL_USER: ("PHONESYSTEM_VIRTUALUSER", (VIRTUAL,)),
}


@dataclass(frozen=True, slots=True)
class Site:
    """An office with its country, the first number of its Direct Routing range and its street."""

    city: str
    country: str
    first_number: int
    street: str
    postal_code: str

    @property
    def code(self) -> str:
        """Give the short name that policies carry."""
        return f"{self.country}-{self.city.replace(' ', '')}"


SITES = (
    Site("Wien", "AT", 431934600000, "Handelskai 388", "1020"),
    Site("Berlin", "DE", 49305684000, "Unter den Linden 21", "10117"),
    Site("London", "GB", 442079460000, "1 Poultry", "EC2R 8EJ"),
    Site("Seattle", "US", 12065550000, "1000 2nd Avenue", "98104"),
    Site("Αθήνα", "GR", 302106800000, "Πανεπιστημίου 30", "106 79"),
    Site("תל אביב", "IL", 97236900000, "שדרות רוטשילד 22", "6688218"),
    Site("東京", "JP", 81345670000, "千代田区丸の内1-1", "100-0005"),
    Site("دبي", "AE", 97144560000, "شارع الشيخ زايد", "00000"),
)
SITE_CODES = ("Vienna", "Berlin", "London", "Seattle", "Athens", "TelAviv", "Tokyo", "Dubai")

# First numbers of what Microsoft and an operator delivered, beside the Direct Routing ranges.
CALLING_PLAN_FIRST = 14255550000
OPERATOR_CONNECT_FIRST = 35315550100

DEPARTMENTS = ("Finance", "Sales", "Engineering", "Kundendienst", "Ressources humaines", "Legal", "Operations", "IT")
TITLES = ("Analyst", "Consultant", "Engineer", "Manager", "Specialist", "Assistant")

# Built-in instances of TeamsUpgradePolicy and the mode each stands for.
UPGRADE_MODES = {
    "Islands": "Islands",
    "IslandsWithNotify": "Islands",
    "SfBOnly": "SfBOnly",
    "SfBOnlyWithNotify": "SfBOnly",
    "SfBWithTeamsCollab": "SfBWithTeamsCollab",
    "SfBWithTeamsCollabWithNotify": "SfBWithTeamsCollab",
    "SfBWithTeamsCollabAndMeetings": "SfBWithTeamsCollabAndMeetings",
    "SfBWithTeamsCollabAndMeetingsWithNotify": "SfBWithTeamsCollabAndMeetings",
    "UpgradeToTeams": "TeamsOnly",
}

POLICIES: dict[str, tuple[str, ...]] = {
    "OnlineVoiceRoutingPolicy": ("International", "National", "Internal-Only"),
    "TenantDialPlan": (),
    "CallingLineIdentity": ("Anonymous", "Main-Number"),
    "TeamsCallingPolicy": ("AllowCalling", "DisallowCalling", "Frontline"),
    "TeamsCallHoldPolicy": ("Corporate-Music",),
    "TeamsCallParkPolicy": ("Reception",),
    "TeamsEmergencyCallingPolicy": ("Notify-Security",),
    "TeamsEmergencyCallRoutingPolicy": ("Dynamic-Emergency",),
    "TeamsUpgradePolicy": (*UPGRADE_MODES,),
    "TeamsSharedCallingRoutingPolicy": (),
    "TeamsSurvivableBranchAppliancePolicy": (),
    "TeamsIPPhonePolicy": ("Common-Area",),
    "TeamsVoiceApplicationsPolicy": ("Supervisors",),
    "OnlineVoicemailPolicy": ("Transcription-Off",),
    "OnlineAudioConferencingRoutingPolicy": (),
    "DialoutPolicy": (),
    "TeamsMeetingPolicy": ("Restricted-Anonymous",),
    "TeamsMessagingPolicy": ("No-Chat-Delete",),
    "TeamsMobilityPolicy": (),
    "ExternalAccessPolicy": ("Federation-Only",),
    "ApplicationAccessPolicy": (),
}


def policy_details(policy_type: str, site: str) -> dict[str, Json]:
    """Give a site policy's properties: usages of a routing policy, rules of a dial plan."""
    if policy_type == "OnlineVoiceRoutingPolicy":
        return {"OnlinePstnUsages": [f"{site}-National", f"{site}-International"], "RouteType": "BYOT"}
    rule: dict[str, Json] = {
        "Name": f"{site}-4digits",
        "Description": "",
        "Pattern": "^(\\d{4})$",
        "Translation": "+$1",
        "IsInternalExtension": True,
        "Priority": 0,
    }
    return {"SimpleName": site, "NormalizationRules": [rule]}
