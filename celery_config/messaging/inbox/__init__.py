"""The inbox: a handler that asks for it gets each event once."""
