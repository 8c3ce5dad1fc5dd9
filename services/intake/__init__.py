"""相談受付 intake: a person comes to any door, and nobody is turned away.

Hears: what became of the case elsewhere (assessment, referral, training), for its timeline; `ReferralAccepted` also
    moves the responsibility for the case.
Tells: `CaseOpened`, `ConsentGiven`, `ConsentPending`, `ConsentRefused`, `ConsentWithdrawn`, `CaseScreened`,
    `CaseClosed`, `CaseReopened`, `EmergencyAccessDeclared`.
Keeps: cases, consents and screenings (append-only), one timeline per case, and the reception sheet: what is known about
    the person, sealed, with the log of everybody who opened it. Personal data lives here alone; so do disclosures,
    emergencies with their reviews, and what is said in statutory meetings.
"""
