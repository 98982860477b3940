"""How much a worker takes in hand at once."""

MOST, CALLS = 100, 64
"""How many messages a batch has, and how many calls to the outside are under way at once: together the full window."""
