"""Who takes this call: numbers, contracts, agents, groups and the floor."""
