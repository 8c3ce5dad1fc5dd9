"""Who may do what: every operation of every service stands in this table, or the build fails.

The table is written by hand on purpose. A role that is added to a route, or a new route, is a decision to be read here.
"""

from typing import Any
from uuid import uuid4

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from shared.auth import Role
from shared.auth.guard import Permission, rule_of
from tests.world import SERVICES, World, token

C, R, D, L, P, H, T, E, W, X = (
    Role.COUNSELLOR,
    Role.RULES,
    Role.DIRECTORY,
    Role.PLANNER,
    Role.PLACEMENT,
    Role.HELLO_WORK,
    Role.PROVIDER,
    Role.EMERGENCY,
    Role.OBSERVER,
    Role.OPERATOR,
)
ALL = frozenset(Role)
ANYBODY: frozenset[Role] = frozenset()
"""Declared `public`: also without a token."""

FRAME: dict[str, frozenset[Role]] = {
    "GET /health/live": ANYBODY,
    "GET /health/ready": ANYBODY,
    "GET /metrics": ANYBODY,
    "GET /v1/rehearsals/duplicate-delivery": frozenset({X}),
    "POST /v1/rehearsals/duplicate-delivery": frozenset({X}),
}
RULES: dict[str, dict[str, frozenset[Role]]] = {
    "intake": {
        "GET /v1/cases": frozenset({C}),
        "POST /v1/cases": frozenset({C, P, H, T}),
        "GET /v1/cases/{case_id}": frozenset({C}),
        "PATCH /v1/cases/{case_id}": frozenset({C}),
        "GET /v1/cases/{case_id}/consents": frozenset({C}),
        "POST /v1/cases/{case_id}/consents": frozenset({C}),
        "POST /v1/cases/{case_id}/screenings": frozenset({C}),
        "GET /v1/cases/{case_id}/timeline": frozenset({C}),
        "GET /v1/cases/{case_id}/person": frozenset({C, P, H, T, E}),
        "PATCH /v1/cases/{case_id}/person": frozenset({C}),
        "GET /v1/cases/{case_id}/accesses": frozenset({C}),
        "GET /v1/cases/{case_id}/records": frozenset({C, E}),
        "POST /v1/cases/{case_id}/records": frozenset({C}),
        "GET /v1/cases/{case_id}/hand-over-sheet.csv": frozenset({C}),
        "GET /v1/cases/{case_id}/hand-over-sheet.html": frozenset({C}),
        "GET /v1/cases/{case_id}/accesses.csv": frozenset({C}),
        "POST /v1/case-imports": frozenset({C}),
        "GET /v1/case-imports/{import_id}": frozenset({C}),
        "GET /v1/case-imports/{import_id}/errors.csv": frozenset({C}),
        "POST /v1/case-imports/{import_id}/commit": frozenset({C}),
        "GET /v1/exports/reception-list.csv": frozenset({C}),
        "GET /v1/exports/funnel.csv": frozenset({C}),
        "GET /v1/cases/{case_id}/custody": frozenset({C}),
        "POST /v1/cases/{case_id}/closing": frozenset({C}),
        "POST /v1/cases/{case_id}/reopening": frozenset({C}),
        "GET /v1/cases/{case_id}/disclosures": frozenset({C}),
        "POST /v1/cases/{case_id}/disclosures": frozenset({C}),
        "POST /v1/cases/{case_id}/disclosures/{disclosure_id}/ending": frozenset({C}),
        "POST /v1/cases/{case_id}/emergency-accesses": frozenset({E}),
        "GET /v1/emergency-accesses": frozenset({C}),
        "GET /v1/emergency-accesses/{emergency_id}": frozenset({C}),
        "POST /v1/emergency-accesses/{emergency_id}/review": frozenset({C}),
        "GET /v1/meetings": frozenset({C, P, H, T}),
        "POST /v1/meetings": frozenset({C}),
        "GET /v1/meetings/{meeting_id}": frozenset({C, P, H, T}),
        "POST /v1/meetings/{meeting_id}/cases": frozenset({C}),
        "GET /v1/meetings/{meeting_id}/cases/{case_id}/notes": frozenset({C, P, H, T}),
        "POST /v1/meetings/{meeting_id}/cases/{case_id}/notes": frozenset({C, P, H, T}),
        "POST /v1/cases/{case_id}/erasure": frozenset({C}),
        "GET /v1/cases/{case_id}/erasure": frozenset({C}),
        "POST /v1/cases/{case_id}/legal-hold": frozenset({C}),
        "POST /v1/cases/{case_id}/legal-hold/lifting": frozenset({C}),
        "POST /v1/cases/{case_id}/use-stop": frozenset({C}),
        "POST /v1/cases/{case_id}/use-stop/lifting": frozenset({C}),
        "GET /v1/retention": frozenset({C}),
        "GET /v1/custody-proofs": frozenset({C}),
        "GET /v1/custody-proofs/now": frozenset({C}),
        "POST /v1/cases/{case_id}/record-drafts": frozenset({C}),
        "PUT /v1/cases/{case_id}/record-drafts/{draft_id}": frozenset({C}),
        "GET /v1/drafts": frozenset({C}),
        "POST /v1/drafts": frozenset({C}),
        "GET /v1/drafts/{draft_id}": frozenset({C}),
        "PUT /v1/drafts/{draft_id}": frozenset({C}),
        "POST /v1/drafts/{draft_id}/discard": frozenset({C}),
        "POST /v1/drafts/{draft_id}/restore": frozenset({C}),
        "POST /v1/persons/search": frozenset({C}),
        "GET /v1/cases/{case_id}/candidates": frozenset({C}),
        "GET /v1/cases/{case_id}/links": frozenset({C}),
        "POST /v1/cases/{case_id}/links": frozenset({C}),
        "POST /v1/cases/{case_id}/links/{other_id}/unlinking": frozenset({C}),
        "GET /v1/cases/{case_id}/inquiries": frozenset({C}),
        "POST /v1/cases/{case_id}/inquiries": frozenset({C}),
        "GET /v1/inquiries": frozenset({C}),
        "GET /v1/inquiries/{inquiry_id}": frozenset({C}),
        "POST /v1/inquiries/{inquiry_id}/answers": frozenset({C}),
    },
    "assessment": {
        "GET /v1/cases/{case_id}/assessments": frozenset({C}),
        "POST /v1/cases/{case_id}/assessments": frozenset({C}),
        "GET /v1/cases/{case_id}/history": frozenset({C}),
        "GET /v1/cases/{case_id}/comparison": frozenset({C}),
        "GET /v1/cases/{case_id}/assessments/{assessment_id}/evidence": frozenset({C}),
        "GET /v1/cases/{case_id}/accesses": frozenset({C}),
        "GET /v1/cases/{case_id}/progress.svg": frozenset({C}),
        "GET /v1/cases/{case_id}/progress.html": frozenset({C}),
        "POST /v1/cases/{case_id}/joint_ratings": frozenset({C}),
        "GET /v1/cases/{case_id}/joint_ratings": frozenset({C}),
        "GET /v1/joint_ratings/{joint_id}": frozenset({C}),
        "GET /v1/joint_ratings/{joint_id}/reasons": frozenset({C}),
        "POST /v1/joint_ratings/{joint_id}/levels": frozenset({C}),
        "POST /v1/joint_ratings/{joint_id}/close": frozenset({C}),
        "POST /v1/joint_ratings/{joint_id}/agreed": frozenset({C}),
        "GET /v1/tasks": frozenset({C}),
        "GET /v1/tasks/{task_id}": frozenset({C}),
        "GET /v1/tasks/{task_id}/words": frozenset({C}),
        "GET /v1/tasks/{task_id}/steps": frozenset({C}),
        "POST /v1/tasks/{task_id}/finish": frozenset({C}),
        "POST /v1/tasks/{task_id}/hand_on": frozenset({C}),
        "POST /v1/tasks/{task_id}/postpone": frozenset({C}),
        "POST /v1/tasks/{task_id}/drop": frozenset({C}),
        "GET /v1/agreement": frozenset({C, R}),
        "GET /v1/agreement/drift": frozenset({C}),
        "POST /v1/vignettes": frozenset({R}),
        "GET /v1/vignettes": frozenset({C, R}),
        "GET /v1/vignettes/{vignette_id}": frozenset({C, R}),
        "POST /v1/vignettes/{vignette_id}/levels": frozenset({C}),
        "GET /v1/rubrics": frozenset({C, R}),
        "POST /v1/rubrics": frozenset({R}),
        "GET /v1/rubrics/{rubric}": frozenset({C, R}),
        "GET /v1/professions": frozenset({C, R}),
        "PUT /v1/professions/{profession}": frozenset({R}),
        "GET /v1/rules": frozenset({C, R}),
        "POST /v1/rules": frozenset({R}),
        "POST /v1/rules/trial": frozenset({R}),
        "GET /v1/rules/replay": frozenset({R}),
        "GET /v1/rules/calibration": frozenset({C, R}),
        "GET /v1/conferences": frozenset({C}),
        "POST /v1/cases/{case_id}/conferences": frozenset({C}),
        "GET /v1/conferences/{conference_id}": frozenset({C}),
        "GET /v1/conferences/{conference_id}/record": frozenset({C}),
        "GET /v1/conferences/{conference_id}/steps": frozenset({C}),
        "GET /v1/conferences/{conference_id}/sheet.html": frozenset({C}),
        "GET /v1/conferences/{conference_id}/minutes.html": frozenset({C}),
        "POST /v1/conferences/{conference_id}/invite": frozenset({C}),
        "POST /v1/conferences/{conference_id}/postpone": frozenset({C}),
        "POST /v1/conferences/{conference_id}/cancel": frozenset({C}),
        "POST /v1/conferences/{conference_id}/answer": frozenset({C}),
        "POST /v1/conferences/{conference_id}/agenda": frozenset({C}),
        "POST /v1/conferences/{conference_id}/problems": frozenset({C}),
        "POST /v1/conferences/{conference_id}/open": frozenset({C}),
        "POST /v1/conferences/{conference_id}/joint_ratings": frozenset({C}),
        "POST /v1/conferences/{conference_id}/decisions": frozenset({C}),
        "POST /v1/conferences/{conference_id}/decisions/{task_id}/undo": frozenset({C}),
        "POST /v1/conferences/{conference_id}/minutes": frozenset({C}),
        "POST /v1/conferences/{conference_id}/conclude": frozenset({C}),
        "GET /v1/cases/{case_id}/plans": frozenset({C}),
        "POST /v1/cases/{case_id}/plans": frozenset({C}),
        "GET /v1/plans": frozenset({C}),
        "GET /v1/plans/{plan_id}": frozenset({C}),
        "GET /v1/plans/{plan_id}/content": frozenset({C}),
        "GET /v1/plans/{plan_id}/steps": frozenset({C}),
        "GET /v1/plans/{plan_id}/sheet.html": frozenset({C}),
        "POST /v1/plans/{plan_id}/revise": frozenset({C}),
        "POST /v1/plans/{plan_id}/agree": frozenset({C}),
        "POST /v1/plans/{plan_id}/disagree": frozenset({C}),
        "POST /v1/plans/{plan_id}/hear": frozenset({C}),
        "POST /v1/plans/{plan_id}/decide": frozenset({C}),
        "POST /v1/plans/{plan_id}/send_back": frozenset({C}),
        "POST /v1/plans/{plan_id}/monitor": frozenset({C}),
        "POST /v1/plans/{plan_id}/evaluate": frozenset({C}),
        "POST /v1/plans/{plan_id}/give_up": frozenset({C}),
    },
    "referral": {
        "GET /v1/referrals": frozenset({C, P, H, T}),
        "POST /v1/referrals": frozenset({C}),
        "GET /v1/referrals/{referral_id}": frozenset({C, P, H, T}),
        "POST /v1/referrals/{referral_id}/receive": frozenset({C, T}),
        "POST /v1/referrals/{referral_id}/accept": frozenset({C, T}),
        "POST /v1/referrals/{referral_id}/decline": frozenset({C, T}),
        "POST /v1/referrals/{referral_id}/withdraw": frozenset({C, T}),
        "POST /v1/referrals/{referral_id}/send": frozenset({C}),
        "POST /v1/referrals/{referral_id}/return": frozenset({C, T}),
        "POST /v1/referrals/{referral_id}/answer": frozenset({C}),
        "POST /v1/referrals/{referral_id}/wait": frozenset({C, T}),
        "POST /v1/referrals/{referral_id}/reroute": frozenset({C, T}),
        "POST /v1/referrals/{referral_id}/confirm-decline": frozenset({C}),
        "POST /v1/referrals/{referral_id}/overrule-forward": frozenset({C}),
        "POST /v1/referrals/{referral_id}/overrule-back": frozenset({C}),
        "POST /v1/referrals/{referral_id}/contact": frozenset({C, T}),
        "POST /v1/referrals/{referral_id}/start": frozenset({C, T}),
        "POST /v1/referrals/{referral_id}/miss": frozenset({C, T}),
        "POST /v1/referrals/{referral_id}/hold": frozenset({C, T}),
        "POST /v1/referrals/{referral_id}/resume": frozenset({C, T}),
        "POST /v1/referrals/{referral_id}/set-outcome": frozenset({C, T}),
        "POST /v1/referrals/{referral_id}/close": frozenset({C, T}),
        "POST /v1/referrals/{referral_id}/expire": frozenset({C}),
        "POST /v1/referrals/{referral_id}/add-outcome": frozenset({C, T}),
        "POST /v1/referral-groups": frozenset({C}),
        "POST /v1/referral-requests": frozenset({C, T}),
        "GET /v1/waiting": frozenset({C, P, H, T}),
        "GET /v1/referrals/{referral_id}/links": frozenset({C}),
        "POST /v1/referrals/{referral_id}/links": frozenset({C}),
        "PUT /v1/referrals/{referral_id}/letter": frozenset({C}),
        "GET /a": ANYBODY,
        "GET /a/{secret}": ANYBODY,
        "POST /a": ANYBODY,
        "GET /v1/cases/{case_id}/candidates": frozenset({C}),
        "GET /v1/cases/{case_id}/proposals": frozenset({C}),
        "GET /v1/cases/{case_id}/proposals/{proposal_id}/excluded": frozenset({C}),
        "GET /v1/proposals/{proposal_id}": frozenset({C}),
        "GET /v1/proposals/{proposal_id}/replay": frozenset({C}),
        "GET /v1/unmet-needs": frozenset({C}),
        "GET /v1/unmet-needs/{unmet_need_id}": frozenset({C}),
        "POST /v1/unmet-needs/{unmet_need_id}/review": frozenset({C}),
        "POST /v1/referrals/{referral_id}/no-place": frozenset({C, T}),
        "GET /v1/routing-rules": frozenset({C, R}),
        "POST /v1/routing-rules": frozenset({R}),
        "POST /v1/routing-rules/trial": frozenset({R}),
        "GET /v1/routing-rules/replay": frozenset({R}),
        "GET /v1/neighbours/{municipality}": ALL,
        "PUT /v1/neighbours/{municipality}": frozenset({D}),
        **dict.fromkeys(
            (
                "GET /v1/function-map",
                "GET /v1/function-map/totals",
                "GET /v1/function-map/records",
                "GET /v1/function-map.csv",
                "GET /v1/function-map.html",
                "GET /v1/function-map/snapshots",
                "GET /v1/function-map/changes",
                "GET /v1/function-map/changes.csv",
                "GET /v1/friction-counts",
                "GET /v1/friction-counts.csv",
            ),
            frozenset({C, D, R, L, W}),
        ),
        "GET /v1/friction-boundaries": frozenset({C, P, H, T, D, R, L, W}),
        "POST /v1/frictions": frozenset({C, P, H, T}),
        "GET /v1/frictions": frozenset({C, P, H, T}),
        "GET /v1/hops-alarms": frozenset({C}),
        **dict.fromkeys(
            (
                "GET /v1/numbers/pairs",
                "GET /v1/numbers/pairs.csv",
                "GET /v1/numbers/declines",
                "GET /v1/numbers/hops",
                "GET /v1/give-back",
                "GET /v1/give-back.csv",
                "GET /v1/give-back.html",
            ),
            frozenset({C, P, H, T, D, R, L, W}),
        ),
        "GET /v1/agencies": ALL,
        "GET /v1/programmes": ALL,
        "POST /v1/agency-imports": frozenset({D}),
        "GET /v1/agency-imports/{import_id}": frozenset({D}),
        "GET /v1/agency-imports/{import_id}/errors.csv": frozenset({D}),
        "POST /v1/agency-imports/{import_id}/commit": frozenset({D}),
        "POST /v1/programme-imports": frozenset({D}),
        "GET /v1/programme-imports/{import_id}": frozenset({D}),
        "GET /v1/programme-imports/{import_id}/errors.csv": frozenset({D}),
        "POST /v1/programme-imports/{import_id}/commit": frozenset({D}),
        **{
            route.replace("*", kind): frozenset({D})
            for kind in ("professional-imports", "host-workplace-imports", "training-firm-imports", "hsds-imports")
            for route in (
                "POST /v1/*",
                "GET /v1/*/{import_id}",
                "GET /v1/*/{import_id}/errors.csv",
                "POST /v1/*/{import_id}/commit",
            )
        },
        "GET /v1/agencies/{agency_id}": ALL,
        "GET /v1/agencies/{agency_id}/versions": ALL,
        "GET /v1/agencies/{agency_id}/confirmations": ALL,
        "POST /v1/agencies/{agency_id}/confirm": frozenset({C, D, P, H, T}),
        "PUT /v1/agencies/{agency_id}/hours": frozenset({C, D, P, H, T}),
        "GET /v1/programmes/{programme_id}": ALL,
        "GET /v1/programmes/{programme_id}/versions": ALL,
        "POST /v1/programmes/{programme_id}/confirm": frozenset({C, D, P, H, T}),
        "PUT /v1/programmes/{programme_id}/capacity": frozenset({C, D, P, H, T}),
        "GET /v1/coordinators": ALL,
        "PUT /v1/coordinators/{municipality}": frozenset({D}),
        "GET /v1/vocabulary": ALL,
        **{
            route: holders
            for path in (
                "/v1/professionals/{professional_id}",
                "/v1/host-workplaces/{workplace_id}",
                "/v1/training-firms/{firm_id}",
            )
            for route, holders in {
                f"GET {path.rpartition('/')[0]}": ALL,
                f"GET {path}": ALL,
                f"GET {path}/versions": ALL,
                f"POST {path}/confirm": frozenset({C, D, P, H, T}),
            }.items()
        },
        "PUT /v1/host-workplaces/{workplace_id}/trial-places": frozenset({C, D, P, H, T}),
        "GET /v1/training-firms/{firm_id}/steps": ALL,
        "POST /v1/training-firms/{firm_id}/steps": frozenset({C, D, P, H, T}),
        "GET /v1/exports/agencies.csv": ALL,
        "GET /v1/exports/programmes.csv": ALL,
        "GET /v1/exports/professionals.csv": ALL,
        "GET /v1/exports/host-workplaces.csv": ALL,
        "GET /v1/exports/training-firms.csv": ALL,
        "GET /v1/hsds": ALL,
    },
    "training": {
        "GET /v1/course-runs": ALL,
        "GET /v1/course-runs/{course_run_id}": ALL,
        "GET /v1/course-runs/{course_run_id}/pools/{pool_id}/grant": ALL,
        "GET /v1/course-runs/{course_run_id}/line": frozenset({C, L, P, H, T}),
        "GET /v1/course-runs/{course_run_id}/accounts": ALL,
        "GET /v1/course-runs/{course_run_id}/entries": frozenset({C, L, P, H, T}),
        "POST /v1/course-runs/{course_run_id}/seat-requests": frozenset({C, P}),
        "GET /v1/seat-requests": frozenset({C, P, H, T}),
        "GET /v1/seat-requests/{seat_request_id}": frozenset({C, P, H, T}),
        "GET /v1/seat-requests/{seat_request_id}/grant": frozenset({C, P, H, T}),
        "POST /v1/seat-requests/{seat_request_id}/nominate": frozenset({C, P}),
        "POST /v1/seat-requests/{seat_request_id}/countersign": frozenset({H}),
        "POST /v1/seat-requests/{seat_request_id}/instruct": frozenset({P, H}),
        "POST /v1/seat-requests/{seat_request_id}/enrol": frozenset({T}),
        "POST /v1/seat-requests/{seat_request_id}/release": frozenset({C, P}),
        "POST /v1/seat-requests/{seat_request_id}/accept": frozenset({C, P}),
        "POST /v1/seat-requests/{seat_request_id}/decline": frozenset({C, P}),
        "POST /v1/seat-requests/{seat_request_id}/pause": frozenset({C, P}),
        "POST /v1/seat-requests/{seat_request_id}/resume": frozenset({C, P}),
        "POST /v1/seat-requests/{seat_request_id}/separate": frozenset({C, P}),
        "GET /v1/seat-requests/{seat_request_id}/place": frozenset({C, P, H, T}),
        "GET /v1/seat-requests/{seat_request_id}/offers": frozenset({C, P, H, T}),
        "POST /v1/course-runs/{course_run_id}/seat-requests-together": frozenset({C, P}),
        "GET /v1/line-rules": ALL,
        "POST /v1/line-rules": frozenset({L, X}),
        "GET /v1/target-groups": ALL,
        "POST /v1/seat-requests/{seat_request_id}/select": frozenset({T}),
        "POST /v1/seat-requests/{seat_request_id}/cancel-instruction": frozenset({H}),
        "GET /v1/seat-requests/{seat_request_id}/record": frozenset({C, P, H, T}),
        "GET /v1/seat-requests/{seat_request_id}/papers/{number}.html": frozenset({C, P, H, T}),
        "POST /v1/seat-requests/{seat_request_id}/attendance-certificates": frozenset({T}),
        "POST /v1/seat-requests/{seat_request_id}/end-training": frozenset({T}),
        "POST /v1/seat-requests/{seat_request_id}/employment-outcomes": frozenset({C, P, H, T}),
        "GET /v1/overdue-outcomes": frozenset({C, P, H, T}),
        "GET /v1/registrations": ALL,
        "POST /v1/registrations": frozenset({X}),
        "POST /v1/authorities": frozenset({L}),
        "GET /v1/authorities": ALL,
        "GET /v1/authorities/{prefecture}": ALL,
        "GET /v1/catalogue": ALL,
        "GET /v1/catalogue.csv": ALL,
        "GET /v1/catalogue.ics": ALL,
        "GET /v1/catalogue/{catalogue_id}": ALL,
        "GET /v1/catalogue/{catalogue_id}/calendar.ics": ALL,
        "GET /v1/catalogue/{catalogue_id}/statements": ALL,
        "POST /v1/catalogue/{catalogue_id}/settlements": frozenset({L}),
        "GET /v1/catalogue-differences": frozenset({L}),
        "POST /v1/catalogue-imports": frozenset({L}),
        "GET /v1/catalogue-imports/{import_id}": frozenset({L}),
        "GET /v1/catalogue-imports/{import_id}/errors.csv": frozenset({L}),
        "GET /v1/catalogue-imports/{import_id}/rows": frozenset({L}),
        "POST /v1/catalogue-imports/{import_id}/commit": frozenset({L}),
        "POST /v1/course-run-imports": frozenset({L}),
        "GET /v1/course-run-imports/{import_id}": frozenset({L}),
        "GET /v1/course-run-imports/{import_id}/errors.csv": frozenset({L}),
        "POST /v1/course-run-imports/{import_id}/commit": frozenset({L}),
        "GET /v1/sub-committees": ALL,
        "POST /v1/sub-committees": frozenset({L}),
        "GET /v1/sub-committees/{sub_committee_id}": ALL,
        "GET /v1/sub-committees/{sub_committee_id}/rules": ALL,
        "POST /v1/sub-committees/{sub_committee_id}/rules": frozenset({L}),
        "GET /v1/sub-committees/{sub_committee_id}/members": ALL,
        "POST /v1/sub-committees/{sub_committee_id}/members": frozenset({L}),
        "POST /v1/sub-committees/{sub_committee_id}/members/{member_id}/end": frozenset({L}),
        "GET /v1/sub-committees/{sub_committee_id}/meetings": ALL,
        "POST /v1/sub-committees/{sub_committee_id}/meetings": frozenset({L}),
        "GET /v1/sub-committees/{sub_committee_id}/meetings/{meeting_id}": ALL,
        "GET /v1/sub-committees/{sub_committee_id}/meetings/{meeting_id}/minutes.html": ALL,
        "POST /v1/sub-committees/{sub_committee_id}/meetings/{meeting_id}/agenda": frozenset({L}),
        "POST /v1/sub-committees/{sub_committee_id}/meetings/{meeting_id}/papers": frozenset({L}),
        "POST /v1/sub-committees/{sub_committee_id}/meetings/{meeting_id}/convene": frozenset({L}),
        "POST /v1/sub-committees/{sub_committee_id}/meetings/{meeting_id}/hold": frozenset({L}),
        "POST /v1/sub-committees/{sub_committee_id}/meetings/{meeting_id}/close": frozenset({L}),
        "POST /v1/sub-committees/{sub_committee_id}/meetings/{meeting_id}/cancel": frozenset({L}),
        "GET /v1/sub-committees/{sub_committee_id}/motions": ALL,
        "POST /v1/sub-committees/{sub_committee_id}/motions": frozenset({L}),
        "GET /v1/motions/{motion_id}": ALL,
        "POST /v1/motions/{motion_id}/amend": frozenset({L}),
        "POST /v1/motions/{motion_id}/put": frozenset({L}),
        "POST /v1/motions/{motion_id}/votes": frozenset({C, L, P, H, T}),
        "POST /v1/motions/{motion_id}/conclude": frozenset({L}),
        "POST /v1/motions/{motion_id}/withdraw": frozenset({L}),
        "POST /v1/motions/{motion_id}/decide-urgently": frozenset({L}),
        "GET /v1/decisions": ALL,
        "GET /v1/decisions.csv": ALL,
        "GET /v1/decisions/{decision_id}": ALL,
        "GET /v1/training-report": ALL,
        "GET /v1/training-report.csv": ALL,
        "GET /v1/training-report/entries": ALL,
        "GET /v1/training-report/requests": frozenset({C, P, H, T}),
        "GET /v1/training-report/delegated": ALL,
        "GET /v1/training-report/delegated.csv": ALL,
        "GET /v1/training-report/delegated/{decision_allotment_id}/entries": ALL,
        "GET /v1/cut-offs": ALL,
        "POST /v1/seat-agreements": frozenset({C, P}),
        "GET /v1/seat-agreements": frozenset({C, P, L}),
        "GET /v1/seat-agreements.csv": frozenset({C, P, L}),
        "GET /v1/seat-agreements/{agreement_id}": frozenset({C, P, L}),
        **dict.fromkeys(
            (
                f"POST /v1/seat-agreements/{{agreement_id}}/{move}"
                for move in ("agree", "decline", "withdraw", "recall", "give-back")
            ),
            frozenset({C, P}),
        ),
        "POST /v1/course-runs/{course_run_id}/change-trials": frozenset({T, L}),
        "POST /v1/course-runs/{course_run_id}/changes": frozenset({T, L}),
        "POST /v1/course-runs/{course_run_id}/confirmation": frozenset({T, L}),
        "GET /v1/course-runs/{course_run_id}/changes": ALL,
        "GET /v1/affected": frozenset({C, P, H, T, L}),
        "POST /v1/affected/{affected_id}/answer": frozenset({C, P}),
        "GET /v1/cancellations-due": frozenset({T, L}),
        "POST /v1/region-settings": frozenset({L}),
        "GET /v1/region-settings/{prefecture}": ALL,
        "GET /v1/course-runs/{course_run_id}/pools/{pool_id}/cut-off": ALL,
        "GET /v1/training-plans": ALL,
        "POST /v1/training-plans": frozenset({L}),
        "GET /v1/training-plans/{plan_id}": ALL,
        "GET /v1/training-plans/{plan_id}/lines.csv": ALL,
        "GET /v1/training-plans/{plan_id}/lines/{line}/course-runs": ALL,
        "GET /v1/training-plans/{plan_id}/versions": ALL,
        "GET /v1/training-plans/{plan_id}/versions/{version_no}": ALL,
        "GET /v1/training-plans/{plan_id}/entries": ALL,
        "POST /v1/training-plans/{plan_id}/carry-overs": frozenset({L}),
        "POST /v1/training-plans/{plan_id}/transfers": frozenset({L}),
        "POST /v1/training-plans/{plan_id}/open-to-all": frozenset({L}),
    },
    "dashboard": {
        "GET /": ANYBODY,
        "GET /reference": ANYBODY,
        "GET /asyncapi.json": ANYBODY,
        "GET /v1/figures": ANYBODY,
        "GET /v1/figures/stream": ANYBODY,
        "GET /v1/feed": frozenset({W}),
        "GET /v1/events": frozenset({W}),
    },
}


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rehearsals exist in a demonstration only, and count like any other operation."""
    monkeypatch.setenv("TSUNAGU_DEMO", "true")


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.usefixtures("demo")
async def test_every_operation_declares_the_rule_of_the_table(world: World, name: str) -> None:
    found = {}
    for route in iter_route_contexts(world.service(name).app.routes):
        if isinstance(route.original_route, APIRoute):
            rule = rule_of(list(route.dependencies))
            for method in route.methods or ():
                found[f"{method} {route.path}"] = rule.roles if isinstance(rule, Permission) else ANYBODY
    assert found == RULES[name] | FRAME


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.usefixtures("demo")
async def test_every_wrong_role_is_turned_away_at_every_operation(world: World, name: str) -> None:
    """403 whatever the record and the body are, before anything is looked up; 401 without a token."""
    client = world.service(name).client
    tokens = {role: token("kagoshima-desk", role) for role in Role}
    wrong = []
    for operation, allowed in (RULES[name] | FRAME).items():
        if allowed == ANYBODY:
            continue
        method, path = operation.split(" ")
        address = _filled(path)
        answers: dict[Any, int] = {None: (await client.request(method, address)).status_code}
        for role in ALL - allowed:
            headers = {"Authorization": f"Bearer {tokens[role]}", "Idempotency-Key": str(uuid4())}
            answers[role] = (await client.request(method, address, headers=headers)).status_code
        wrong += [(operation, who, status) for who, status in answers.items() if status != (403 if who else 401)]
    assert wrong == []
    assert {row["n"] for row in await world.service(name).rows("SELECT count(*) AS n FROM idempotency")} == {0}


def _filled(path: str) -> str:
    parts = path.split("/")
    known = {"{prefecture}": "46", "{rubric}": "fdp-1", "{number}.html": "1.html"}
    return "/".join(known.get(part, str(uuid4())) if part.startswith("{") else part for part in parts)


async def test_a_token_for_one_service_is_no_key_to_another(world: World) -> None:
    """Every service is asked with a token that names all of them but itself."""
    for name in SERVICES:
        running = world.service(name)
        verifier = running.app.state.verifier
        verifier._audience = "tsunagu-elsewhere"
        operation = next(operation for operation, allowed in RULES[name].items() if allowed != ANYBODY)
        method, path = operation.split(" ")
        headers = {"Authorization": f"Bearer {token('kagoshima-desk', *Role)}", "Idempotency-Key": str(uuid4())}
        assert (await running.client.request(method, _filled(path), headers=headers)).status_code == 401
        verifier._audience = f"tsunagu-{name}"
        assert (await running.client.request(method, _filled(path), headers=headers)).status_code != 401
