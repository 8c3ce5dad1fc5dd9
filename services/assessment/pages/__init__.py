"""What is printed: progress with its radar, and of a conference the sheet for its table and the minutes."""
