"""相談受付 intake: a person comes to any door, and nobody is turned away.

Hears: what became of the case elsewhere (assessment, referral, training), for its timeline; `ReferralAccepted` also
    moves the responsibility for the case.
Tells: `CaseOpened`, `ConsentGiven`, `ConsentPending`, `ConsentRefused`, `ConsentWithdrawn`, `CaseScreened`,
    `CareerNeedsUntouched`, `CaseClosed`, `CaseHandedOver`, `CaseNotHandedOver`, `CaseReopened`, `CaseErased`,
    `EmergencyAccessDeclared`.
Keeps: cases, consents and screenings (append-only), one timeline per case, and what is known about the person, sealed,
    with the log of everybody who opened it: the reception sheet, support records, drafts. Fingerprints of it, by which
    the same person is found at another door, and a ledger of the cases that people linked. Disclosures, emergencies
    with their reviews, what is said in statutory meetings; orders to
    erase, and legal holds. Personal data lives here alone.
"""
