"""Worker limits: together they are the prefetch window."""

MAX_MESSAGES = 100
"""In one batch."""
MAX_CALLS = 64
"""To the outside, under way at the same time."""
