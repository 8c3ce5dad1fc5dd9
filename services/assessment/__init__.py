"""アセスメント assessment: five axes, five levels (FDP), rated once and compared over time.

Hears: `CaseOpened`.
Tells: `AssessmentRecorded`.
Keeps: which cases there are, and their assessments, append-only: a rating is corrected by another one.
"""
