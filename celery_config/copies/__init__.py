"""Copies: what one service keeps of another's data, kept equal by events, and provably so.

The owner of a table publishes it: a trigger counts each row's versions and announces every change. Whoever needs
some of its fields keeps a copy, fed by these events; ranges of checksums prove that it is equal, and mend what is not.
"""
