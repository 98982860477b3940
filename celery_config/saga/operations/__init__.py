"""What operators do: they see what is parked, preview a verb, and act. Every act is recorded."""
