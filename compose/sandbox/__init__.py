"""A payment provider and a carrier in one small HTTP process with a store of its own.

It stands in for the outside world: time-outs are real, an orphaned charge stays visible in its books,
and what it has answered survives ``kill -9``. Start it with
``python -m compose.sandbox --port 8090 --database sandbox.sqlite3``. docs/reference/sandbox.md lists its
test tokens, test addresses and faults.
"""
