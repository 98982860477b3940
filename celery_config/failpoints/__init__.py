"""Failpoints: named points at which a test makes a process die. Outside of tests they do nothing."""
