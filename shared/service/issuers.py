"""The issuer that the settings name: how its tokens look, and its keys. What is wrong with that stops the start."""

from pydantic import ValidationError

from shared.auth.keys import KeyRing, fetch_from_issuer, fetch_over_http
from shared.auth.profile import Profile
from shared.service.failures import words_for
from shared.settings import PREFIX, SettingRefused, Settings

_NAME = f"{PREFIX}ISSUER_PROFILE"


def read_profile(settings: Settings) -> Profile:
    """The issuer's profile. Raises `SettingRefused`."""
    try:
        return Profile.model_validate_json(settings.issuer_profile)
    except ValidationError as refused:
        raise SettingRefused(_said(refused)) from None


def open_key_ring(settings: Settings, profile: Profile) -> KeyRing:
    """The issuer's keys, from where the settings say or else from where it says itself."""
    fetch = fetch_over_http(settings.jwks_url) if settings.jwks_url else fetch_from_issuer(settings.issuer)
    return KeyRing(fetch, algorithms=profile.algorithms)


def _said(refused: ValidationError) -> str:
    """Two lines a fault, one a language: where in the setting it is, and what may stand there."""
    lines = []
    for fault in refused.errors(include_url=False, include_input=False):
        place = ".".join(str(part) for part in fault["loc"]) or "JSON"
        words, words_ja = words_for(fault["type"], fault.get("ctx"))
        lines.append(f"{_NAME} の {place}: {words_ja}")
        lines.append(f"{_NAME}, {place}: {words}")
    return "\n".join(lines)
