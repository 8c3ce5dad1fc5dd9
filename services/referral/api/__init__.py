"""Shapes, permissions and status codes: referrals, candidates, and the directory with its files."""

from services.referral.api import candidates, directory, files, hsds, keeping, moves, referrals, resources

routers = [
    referrals.referrals,
    moves.moves,
    candidates.candidates,
    directory.directory,
    keeping.keeping,
    resources.resources,
    files.exports,
    *files.imports,
    hsds.hsds,
    hsds.hsds_files,
]
