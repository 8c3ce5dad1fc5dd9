"""アセスメント assessment: five axes, five levels (FDP), rated once and compared over time.

Hears: `CaseOpened`, `CaseHandedOver`, `CaseClosed`, `CaseReopened`, `CaseErased`, the four facts about consent.
Tells: `AssessmentRecorded`.
Keeps: which cases there are, who holds each and with whom its ratings may be shared; and assessments, append-only: a
    rating is corrected by another one.
"""
