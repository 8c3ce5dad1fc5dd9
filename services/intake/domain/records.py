"""Support records (支援記録): what was done for a person, when, how and with whom; typed once, corrected by adding."""

from enum import StrEnum


class Way(StrEnum):
    """方法: how people met."""

    COUNTER = "counter"
    """来所."""
    VISIT = "visit"
    """訪問."""
    PHONE = "phone"
    WRITTEN = "written"
    """手紙・メール."""
    ONLINE = "online"
    ACCOMPANIED = "accompanied"
    """同行."""
    MEETING = "meeting"
    """会議."""
    DROP_IN = "drop_in"
    """居場所."""
    OTHER = "other"


class With(StrEnum):
    """相手: with whom."""

    PERSON = "person"
    FAMILY = "family"
    AGENCY = "agency"
    EMPLOYER = "employer"
    SCHOOL = "school"
    MEDICAL = "medical"
    OTHER = "other"


MINUTES_A_DAY = 24 * 60
