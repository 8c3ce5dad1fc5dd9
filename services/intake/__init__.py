"""相談受付 intake: a person comes to any door, and nobody is turned away.

Hears: what became of the case elsewhere (assessment, referral, training), for its timeline; `ReferralAccepted` also
    moves the responsibility for the case.
Tells: `CaseOpened`, `ConsentGiven`, `ConsentPending`, `ConsentRefused`, `ConsentWithdrawn`, `CaseScreened`.
Keeps: cases, consents and screenings (append-only), and one timeline per case. No name, address or birth date: the case
    number on the counsellor's paper sheet is the only link to the person.
"""
