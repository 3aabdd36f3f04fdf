"""The call: a caller's leg, the agents' legs, and what they tell media, floor and ledger."""
