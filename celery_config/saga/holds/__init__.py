"""Holds: an operator holds a step, a participant, a provider or flows while they run, and lets them go in waves."""
