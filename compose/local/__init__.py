"""Runs the whole system on one machine without containers: private servers, processes, the stack."""
