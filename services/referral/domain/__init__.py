"""What a referral may do, and where a case may go. Pure: no clock, no database."""
