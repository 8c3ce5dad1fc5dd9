"""Pure decisions: who gets a seat, which steps follow, and how a course run shares out its capacity."""
