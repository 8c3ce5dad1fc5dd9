"""アセスメント assessment: five axes, five levels (FDP), rated once and compared over time.

Hears: everything about a case: opened, handed over, closed, reopened, erased, and what was said about consent.
Tells: `AssessmentRecorded`, `InstrumentAnswered`, `TaskAssigned`, `TaskOverdue`, `TaskEnded`.
Keeps: which cases there are, and their assessments, append-only: a rating is corrected by another one.
"""
