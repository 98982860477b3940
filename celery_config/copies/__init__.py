"""Copies: one service's data replicated into another's database, and proved equal to its source.

The source's table has triggers that count each row's versions and announce every change. A copy holds some fields of
it and is fed by these events. Checksums of key ranges find the rows that differ; a repair writes them.
"""
