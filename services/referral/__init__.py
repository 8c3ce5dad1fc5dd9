"""つなぎ・支援機関 referral: the directory of support, and the way of a case from hand to hand.

Hears: `CaseOpened`, `CaseHandedOver`, `CaseNotHandedOver`, `CaseReopened`, `CaseClosed`, `CaseErased`, the four facts
    about consent, `AssessmentRecorded` (the little that routing needs); `ReferralDecided` (a conference's decision,
    sent here in its owner's name); `CourseOffered`, `PoolChanged` (what training offers); `SeatHeld`,
    `SeatWaitlisted`, `SeatRefused`,
    `SeatReleased`, `TrainingNominated`, `NominationCountersigned`, `TrainingSelected`, `InstructionIssued`,
    `InstructionCancelled`, `Enrolled` (they move a referral to a course); `TrainingEnded`, `EmploymentRecorded` (what
    came of it).
Tells: `AgencyListed`, `ProgrammeListed` (the directory); `ReferralSent`, `TrainingReferred`, `ReferralReceived`,
    `ReferralReturned`, `ReferralAccepted`, `ReferralRerouted`, `ReferralDeclineProposed`, `ReferralDeclined`,
    `ReferralProgressed`, `ReferralOverdue`, `ReferralTakenOver`, `ReferralOutcomeSet`, `ReferralClosed`,
    `ReferralWithdrawn`, `ReferralSentOn`, `ReferralNotPlaced`, `ReferralNotSent`, `LinkUndelivered`,
    `TransferBecameRefer`, `ReferralCourseChanged`; `NeedUnmet`, `NeedMet` (what nobody answers), `HopsAlarm`,
    `FrictionRecorded`.
Keeps: the directory (agencies, programmes, coordinators, professionals, host workplaces, firms, neighbours of towns)
    with every version of every entry; facts about cases, courses and pools as the others told them, and decided orders
    that wait for one of them; the rules of routing, and every proposal made by them; referrals, each with its
    append-only steps and outcomes, links and letters; unmet needs; frictions, alarms and snapshots of the map. At every
    instant exactly one agency is responsible for a referral: its sender until somebody accepts, the coordinator once a
    decline is confirmed or nobody has answered.

Where to look, in `domain`, `handlers`, `tables` and `api` by the same name:
    directory, listing, keeping   files taken in · one entry at a time · the statement that writes a version
    routing, routing_rules        candidates with reasons · the rules as data (`options` and `routed` are its words)
    proposals                     what was proposed, kept and made again (`domain/kept_proposals`)
    referrals, moving, telling    sent · moved (`states`, `moves` are the table) · what is told of a move
    clocks, waiting, places       silence · all that waits · the next place of what came back
    needs                         what nobody answers (`/v1/unmet-needs`)
    links, door, mails            answering without an account (`codes`: those of letters)
    training_words                what training tells of seats, of the end, and of work after it
    course_changes                another school's course run, to which the person agreed
    function_map, friction        the map, with `map_supply` (places there are seats), `small_counts` · scheme limits
    numbers                       times, reasons, hops, an agency's give-back
    nearby, asked                 the directory in memory · all of a case that routing looks at
"""
