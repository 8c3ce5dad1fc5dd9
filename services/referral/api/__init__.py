"""Shapes, permissions and status codes: referrals, candidates and their rules, and the directory with its files."""

from services.referral.api import (
    candidates,
    directory,
    files,
    hsds,
    keeping,
    moves,
    neighbours,
    proposals,
    referrals,
    resources,
    routing_rules,
    unmet_needs,
)

routers = [
    referrals.referrals,
    moves.moves,
    candidates.candidates,
    proposals.proposals,
    unmet_needs.unmet_needs,
    routing_rules.routing_rules,
    directory.directory,
    keeping.keeping,
    resources.resources,
    neighbours.neighbours,
    files.exports,
    *files.imports,
    hsds.hsds,
    hsds.hsds_files,
]
