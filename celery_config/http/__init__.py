"""Calls to other systems over HTTP: time limits, retries, the circuit breaker, signed webhooks."""
