"""The sandbox: a payment provider and a carrier in one HTTP process, whose answers survive ``kill -9``.

It stands in for the outside world: time-outs are real, and an orphaned charge stays visible in its books. Start it with
``python -m compose.sandbox --port 8090 --database sandbox.sqlite3``. docs/reference/sandbox.md lists its test tokens,
test addresses and faults.
"""
