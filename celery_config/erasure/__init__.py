"""Erasure: a service blanks a customer's personal data, proves it by a receipt, and refuses data that arrives later.

Each service declares in its `erasure.py` where it may hold personal data. The erasure and the audit use that same
declaration.
"""
