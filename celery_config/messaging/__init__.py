"""Barrier, outbox, relay, inbox and events: one Django app, in every service's database."""
