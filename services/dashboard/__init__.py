"""The dashboard: what the others told, in one line of events, and the figures that follow from it.

Hears: every public event of intake, assessment, referral and training.
Tells: nothing. It is the read side, and anybody may build another one from the same events.
Keeps: the feed (a gap-free copy of the events, 30 days), and counts: how far each case came, the seats of each pool.
"""
