"""What a referral may do, what consent covers, and where a case may go. Pure: no clock, no database."""
