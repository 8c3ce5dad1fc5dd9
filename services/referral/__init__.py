"""つなぎ・支援機関 referral: the directory of support, and the way of a case from hand to hand.

Hears: `CaseOpened`, `ConsentGiven`, `ConsentPending`, `ConsentRefused`, `ConsentWithdrawn`, `AssessmentRecorded` (the few
    facts that routing needs); `CourseOffered`, `PoolChanged` (what training has to offer); `SeatHeld`, `SeatWaitlisted`,
    `SeatRefused`, `SeatReleased`, `TrainingNominated`, `NominationCountersigned`, `InstructionIssued`, `Enrolled` (they
    move a referral to a course).
Tells: `ReferralSent`, `TrainingReferred`, `ReferralReceived`, `ReferralAccepted`, `ReferralDeclined`, `ReferralWithdrawn`.
Keeps: agencies and programmes; facts about cases, courses and pools as others told them; referrals, each with its
    append-only steps. At every instant exactly one agency is responsible for a referral: its sender until somebody accepts.
"""
