"""The inbox: each handler gets an event once."""
