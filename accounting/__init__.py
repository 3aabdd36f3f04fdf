"""What a call is worth: connected intervals, the journal, rating and statements."""
