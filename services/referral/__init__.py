"""つなぎ・支援機関 referral: the directory of support, and the way of a case from hand to hand.

Hears: `CaseOpened`, `CaseHandedOver`, `CaseNotHandedOver`, `CaseReopened`, `CaseClosed`, `CaseErased`, the four facts
    about consent, `AssessmentRecorded` (the little that routing needs); `ReferralDecided` (a conference's decision,
    sent here in its owner's name); `CourseOffered`, `PoolChanged` (what training offers); `SeatHeld`,
    `SeatWaitlisted`, `SeatRefused`,
    `SeatReleased`, `TrainingNominated`, `NominationCountersigned`, `InstructionIssued`, `Enrolled` (they move a
    referral to a course).
Tells: `AgencyListed`, `ProgrammeListed` (the directory); `ReferralSent`, `TrainingReferred`, `ReferralReceived`,
    `ReferralReturned`, `ReferralAccepted`, `ReferralRerouted`, `ReferralDeclineProposed`, `ReferralDeclined`,
    `ReferralProgressed`, `ReferralOverdue`, `ReferralTakenOver`, `ReferralOutcomeSet`, `ReferralClosed`,
    `ReferralWithdrawn`, `ReferralNotPlaced`, `ReferralNotSent`, `LinkUndelivered`, `TransferBecameRefer`.
Keeps: the directory (agencies, programmes, coordinators, professionals, host workplaces, firms) with every version of
    every entry; facts about cases, courses and pools as the others told them; referrals, each with its append-only
    steps and outcomes. At every instant exactly one agency is responsible for a referral: its sender until somebody
    accepts, the coordinator once a decline is confirmed or nobody has answered.
"""
