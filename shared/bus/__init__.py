"""The referral bus: outbox (a queue) -> relay -> transport -> inbox (once in effect) -> effect.

`mailbox.emit` tells, `relay` carries, `port` names the transports' two verbs, `inbox` hears.
"""
