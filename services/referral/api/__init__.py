"""Shapes, permissions and status codes: referrals, candidates, and the directory with its two files."""

from services.referral.api import candidates, directory, moves, referrals

routers = [
    referrals.referrals,
    moves.moves,
    candidates.candidates,
    directory.directory,
    directory.agency_files,
    directory.programme_files,
]
