"""Holds: a service's worker sets aside what an operator holds, until it is let go (rule 30, holds)."""
