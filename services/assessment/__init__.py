"""アセスメント assessment: five axes, five levels (FDP), rated once and compared over time.

Hears: everything about a case: opened, handed over, closed, reopened, erased, and what was said about consent;
    what became of a decided referral: `ReferralSent`, `ReferralNotSent`, accepted, declined or withdrawn;
    `NextStepProposed`, which makes a task, and `TrainingEnded`, which drops it where the completion is corrected.
Tells: `AssessmentRecorded`, `InstrumentAnswered`, `TaskAssigned`, `TaskOverdue`, `TaskEnded`; of conferences with
    consent `ConferenceCalled`, `ConferencePostponed`, `ConferenceCancelled`, `ConferenceConcluded`, `ReferralDecided`;
    of support plans `PlanAgreed`, `PlanDecided`, `PlanEvaluated`.
Keeps: which cases there are; assessments, append-only: a rating is corrected by another one; conferences; support plans
    in versions; and tasks, with all that happened to them.
"""
