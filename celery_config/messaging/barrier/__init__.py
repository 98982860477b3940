"""The barrier: one row for each step, so that its effect happens once."""
