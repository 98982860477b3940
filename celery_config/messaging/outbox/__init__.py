"""The outbox and its relay: a message is written with what makes it true, and sent at least once."""
