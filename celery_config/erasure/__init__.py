"""Forgetting a person: what a service knows of one, how that is blanked, and how nothing brings it back.

Each service says in its `erasure.py` where it may know something of a person. What forgets them and what looks for
leftovers both follow from that one declaration.
"""
