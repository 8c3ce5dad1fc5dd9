"""訓練 training: plans, course runs, pools, seats, and the way from a held seat to what came of the training.

Hears:  CaseOpened and what was said about consent (who may ask); TrainingReferred (asks for a seat);
        ReferralWithdrawn, ConsentWithdrawn and CaseErased (give one back).
Tells:  CourseOffered, PoolChanged; SeatHeld, SeatWaitlisted, SeatPaused, SeatResumed, SeatRefused, SeatReleased;
        TrainingNominated, NominationCountersigned, TrainingSelected, InstructionIssued, InstructionCancelled, Enrolled;
        AttendanceWarned, AttendanceWarningLifted, TrainingEnded, NextStepProposed, EmploymentRecorded;
        QuotaPlanInForce, QuotaMoved; QuotaDecided, QuotaRatified, QuotaLapsed, QuotaSuperseded; CutOffNear, SeatsMoved,
        SeatAgreementChanged, QuotaCarriedOver; CourseChanged, SeatAffected, CancellationDue,
        CourseConfirmed.
Keeps:  of each case its municipality and the newest word about consent; course runs (開講), places at host workplaces
        (職親) among them, and their pools (枠), the ledger of seats, requests, who nominated, countersigned, selected,
        instructed and enrolled, attendance, ends and what came of it; in whose name agencies act, and which body may
        instruct in which prefecture from when;
        prefectures' plans of seats (計画枠) in versions, with the ledger between their lines; what the sub-committee
        (分科会) deliberated and decided, and what municipalities agreed to lend or swap; what sources say of courses
        (目録), and what was decided where they differ;
        late changes and cancellations (中止), whom they affected and what they answered; the days of each seat.

A seat is not an acceptance, not an instruction (受講指示), not an enrolment: separate facts, by separate bodies.
"""
