"""The directory as Open Referral HSDS 3.0, and back, with nothing lost on the way.

What HSDS has a field for stands in that field; our codes are taxonomy terms in `attributes`; what HSDS has no field for
(a reading in kana, clocks, professionals, host workplaces, firms) stands in `x-tsunagu`, which other readers pass over.
`service_capacity` is of HSDS 3.1. Field names were checked against openreferral/specification (schema/*.json).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from services.referral.api.rows import FirmRow, ProfessionalRow, WorkplaceRow
from services.referral.api.words import WORDS_JA
from services.referral.tables.vocabulary import vocabulary

OURS = "x-tsunagu"
CORPORATE, AGENCY, MUNICIPALITY = "JP-JCN", "tsunagu-agency", "jp-municipality"
_WEEK = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_AGENCY_EXTRA = ("kana", "municipalities_served", "closed_weekdays", "closed_days", "contact_channel", "confirmed_by")
_PROGRAMME_EXTRA = (
    "programme_code", "conditions", "confirmed_by", "capacity_state", "capacity_total", "capacity_free",
    "capacity_confirmed_on", "acknowledge_days", "contact_days", "start_days",
)  # fmt: skip
_ONE = {"function": "function", "stage": "stage", "strand": "strand", "legal_basis": "legal_basis"}
_MANY = {"need": "needs", "target": "for_whom"}
_WITHIN = {
    "professionals": ("professional", ProfessionalRow),
    "host_workplaces": ("host_workplace", WorkplaceRow),
    "training_firms": ("training_firm", FirmRow),
}
"""What an organization carries along under `x-tsunagu`, each with its kind and its row."""
Entries = Mapping[str, Sequence[Mapping[str, Any]]]


# --- out -------------------------------------------------------------------------------------------------------------


def organization(agency: Mapping[str, Any], of_agency: Entries) -> dict[str, Any]:
    """An agency's row, with what HSDS knows no table for."""
    own = _id("organization", agency["agency_id"])
    place = _id("location", agency["agency_id"])
    identifiers = [(AGENCY, agency["agency_id"]), (CORPORATE, agency["corporate_number"])]
    within = {
        name: [_within(row, row_type) for row in of_agency.get(kind, ())] for name, (kind, row_type) in _WITHIN.items()
    }
    return {
        "id": own,
        "name": agency["name"],
        "description": agency["name"],
        "email": agency["contact_email"],
        "organization_identifiers": [
            {"id": _id(own, scheme), "identifier_scheme": scheme, "identifier_type": scheme, "identifier": value}
            for scheme, value in identifiers
            if value is not None
        ],
        "phones": _phones(own, agency["phone"]),
        "contacts": [_contact(own, number, desk) for number, desk in enumerate(agency["desks"])],
        "locations": [
            {
                "id": place,
                "location_type": "physical",
                "name": agency["name"],
                "external_identifier": agency["municipality"],
                "external_identifier_type": MUNICIPALITY,
                "schedules": [_opening(place, hours) for hours in agency["opening_hours"]],
            }
        ],
        "attributes": [_term(own, "agency_kind", agency["kind"], agency["kind"])],
        OURS: {
            **{name: _json(agency[name]) for name in _AGENCY_EXTRA},
            "confirmed_on": _json(agency["confirmed_on"]),
            **within,
        },
    }


def service(programme: Mapping[str, Any], today: date) -> dict[str, Any]:
    """A programme's row."""
    own = str(programme["id"])
    terms = [(scheme, str(programme[field])) for scheme, field in _ONE.items() if programme[field] is not None]
    terms += [(scheme, code) for scheme, field in _MANY.items() for code in programme[field]]
    ended = programme["ends_on"] is not None and programme["ends_on"] < today
    return {
        "id": own,
        "organization_id": _id("organization", programme["agency_id"]),
        "name": programme["name"],
        "status": "inactive" if ended else "active",
        "eligibility_description": "\n".join(each["text_ja"] for each in programme["conditions"]) or None,
        "assured_date": _json(programme["confirmed_on"]),
        "service_areas": [{"id": _id(own, "area", code), "name": code} for code in programme["municipalities"]],
        "service_at_locations": [
            {
                "id": _id(own, "place"),
                "service_id": own,
                "location_id": _id("location", programme["agency_id"]),
            }
        ],
        "schedules": _period(own, programme),
        "service_capacity": _capacity(own, programme),
        "attributes": [_term(own, scheme, code, _word(scheme, code)) for scheme, code in terms],
        OURS: {name: _json(programme[name]) for name in _PROGRAMME_EXTRA},
    }


def _within(row: Mapping[str, Any], row_type: type[Any]) -> dict[str, Any]:
    return {name: _json(row[name]) for name in row_type.model_fields if name != "agency_id"}


def _phones(own: str, number: str | None) -> list[dict[str, Any]]:
    return [] if number is None else [{"id": _id(own, "phone"), "number": number}]


def _contact(own: str, number: int, desk: Mapping[str, Any]) -> dict[str, Any]:
    contact = _id(own, "contact", number)
    ours = {name: desk.get(name) for name in ("kind", "hours")}
    return {"id": contact, "department": desk["name"], "phones": _phones(contact, desk.get("phone")), OURS: ours}


def _opening(place: str, hours: Mapping[str, Any]) -> dict[str, Any]:
    """Hours are said with their offset, as HSDS asks: 08:30+09:00."""
    day = _WEEK[hours["weekday"]]
    return {
        "id": _id(place, day, hours["opens"], hours["closes"]),
        "freq": "WEEKLY",
        "byday": day,
        "opens_at": f"{hours['opens']}+09:00",
        "closes_at": f"{hours['closes']}+09:00",
    }


def _period(own: str, programme: Mapping[str, Any]) -> list[dict[str, Any]]:
    bounds = {"valid_from": _json(programme["starts_on"]), "valid_to": _json(programme["ends_on"])}
    return [{"id": _id(own, "period"), **bounds}] if any(bounds.values()) else []


def _capacity(own: str, programme: Mapping[str, Any]) -> list[dict[str, Any]]:
    """HSDS needs a number and a moment: where there is none, the word alone stands under `x-tsunagu`."""
    if programme["capacity_free"] is None or programme["capacity_confirmed_on"] is None:
        return []
    return [
        {
            "id": _id(own, "capacity"),
            "unit": {"id": _id("unit", "place"), "name": "place"},
            "available": programme["capacity_free"],
            "maximum": programme["capacity_total"],
            "updated": f"{programme['capacity_confirmed_on']}T00:00:00+09:00",
        }
    ]


def _term(own: str, scheme: str, code: str, name: str) -> dict[str, Any]:
    taxonomy = f"tsunagu-{scheme}"
    term = {"id": _id(taxonomy, code), "code": code, "name": name, "description": name, "taxonomy": taxonomy}
    return {"id": _id(own, taxonomy, code), "link_type": taxonomy, "taxonomy_term": term}


def _word(scheme: str, code: str) -> str:
    known = vocabulary()
    if scheme == "function" and code in known.functions:
        return known.functions[code].japanese
    if scheme == "target" and code in known.targets:
        return known.targets[code][0]
    return WORDS_JA.get(code, code)


def _id(*parts: object) -> str:
    """The same thing has the same id in every document."""
    return str(uuid5(NAMESPACE_URL, "tsunagu:" + "/".join(map(str, parts))))


def _json(value: Any) -> Any:
    match value:
        case date():
            return value.isoformat()
        case list() | tuple():
            return [_json(each) for each in value]
        case _:
            return value


# --- in --------------------------------------------------------------------------------------------------------------


def entries(organization: Mapping[str, Any], services: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What a row of the directory's own would say: only what the document speaks of, so that it may be another's.

    Raises `KeyError`, `TypeError`, `ValueError` or `AttributeError` where the document is not of that form.
    """
    identifiers = {
        each.get("identifier_scheme"): each["identifier"] for each in _list(organization, "organization_identifiers")
    }
    ours = dict(organization.get(OURS, {}))
    agency: dict[str, Any] = {
        "name": organization["name"],
        "agency_id": identifiers.get(AGENCY),
        "corporate_number": identifiers.get(CORPORATE),
        **({"phone": _number(organization)} if "phones" in organization else {}),
        **({"contact_email": organization["email"]} if "email" in organization else {}),
        **{name: ours[name] for name in (*_AGENCY_EXTRA, "confirmed_on") if name in ours},
    }
    agency |= {name: terms[0] for name, terms in (("kind", _terms(organization, "agency_kind")),) if terms}
    if "contacts" in organization:
        agency["desks"] = [_desk(each) for each in _list(organization, "contacts")]
    for place in _list(organization, "locations")[:1]:
        if place.get("external_identifier_type") == MUNICIPALITY:
            agency["municipality"] = place["external_identifier"]
        if "schedules" in place:
            agency["opening_hours"] = [_hours(each) for each in _list(place, "schedules") if "byday" in each]
    agency_id = agency["agency_id"]
    return {
        "agency": agency,
        "programmes": [{"agency_id": agency_id, **_programme(each)} for each in services],
        # Whose it is says the organization that has it; else a part could name an agency elsewhere.
        **{name: [{**each, "agency_id": agency_id} for each in _list(ours, name)] for name in _WITHIN},
    }


def _programme(service: Mapping[str, Any]) -> dict[str, Any]:
    ours = dict(service.get(OURS, {}))
    found: dict[str, Any] = {
        "programme_code": str(service["id"]),
        "name": service["name"],
        **{field: _terms(service, scheme) for scheme, field in _MANY.items() if "attributes" in service},
        **{name: ours[name] for name in _PROGRAMME_EXTRA if name in ours},
    }
    found |= {field: terms[0] for scheme, field in _ONE.items() if (terms := _terms(service, scheme))}
    if "assured_date" in service:
        found["confirmed_on"] = service["assured_date"]
    if "service_areas" in service:
        found["municipalities"] = [each["name"] for each in _list(service, "service_areas")]
    if "schedules" in service:
        found |= {"starts_on": None, "ends_on": None}
    for period in _list(service, "schedules"):
        if "byday" not in period:
            found |= {"starts_on": period.get("valid_from"), "ends_on": period.get("valid_to")}
    for capacity in _list(service, "service_capacity")[:1]:
        if "capacity_free" not in ours:
            updated = date.fromisoformat(str(capacity["updated"])[:10]).isoformat()
            found |= {
                "capacity_state": "has_room" if capacity["available"] else "full",
                "capacity_free": capacity["available"],
                "capacity_total": capacity.get("maximum"),
                "capacity_confirmed_on": updated,
            }
    return found


def _list(of: Mapping[str, Any], name: str) -> list[Any]:
    found = of.get(name) or []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise TypeError(name)
    return found


def _terms(of: Mapping[str, Any], scheme: str) -> list[str]:
    terms = [each.get("taxonomy_term") or {} for each in _list(of, "attributes")]
    return [term["code"] for term in terms if term.get("taxonomy") == f"tsunagu-{scheme}"]


def _number(of: Mapping[str, Any]) -> Any:
    return next((each["number"] for each in _list(of, "phones")), None)


def _desk(contact: Mapping[str, Any]) -> dict[str, Any]:
    name = contact.get("department") or contact.get("title") or contact.get("name")
    return {"name": name, "phone": _number(contact), **dict(contact.get(OURS, {}))}


def _hours(schedule: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "weekday": _WEEK.index(schedule["byday"]),
        "opens": str(schedule["opens_at"])[:5],
        "closes": str(schedule["closes_at"])[:5],
    }
