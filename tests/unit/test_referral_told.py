"""What a receiver is told: codes, and of those what the person agreed to."""

import pytest

from services.referral.domain.told import Told, told

NEEDS, TOPICS = ("health", "isolation"), ("job_search", "violence")


@pytest.mark.parametrize(
    ("categories", "expected"),
    [
        ((), Told(("isolation",), ("job_search",), True, True)),
        (("story",), Told(("isolation",), ("job_search",), True, True)),
        (("story", "health"), Told(("health", "isolation"), ("job_search", "violence"), True, False)),
        (("identity", "contact"), Told((), (), True, True)),
        (("health",), Told(("health",), ("violence",), True, True)),
    ],
)
def test_what_the_consent_covers_is_told_and_that_more_is_on_record(
    categories: tuple[str, ...], expected: Told
) -> None:
    assert told(NEEDS, TOPICS, urgent=True, categories=categories) == expected


def test_nothing_is_withheld_where_nothing_sensitive_is_on_record() -> None:
    assert told(("isolation",), (), urgent=False, categories=()) == Told(("isolation",), (), False, False)
