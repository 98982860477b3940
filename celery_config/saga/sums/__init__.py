"""Sums by the minute and hour: how many flows began and ended, how long they took, and why they were undone."""
