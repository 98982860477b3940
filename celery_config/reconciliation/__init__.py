"""Reconciliation: the books of a provider or carrier are compared with ours. It reports and mends nothing."""
