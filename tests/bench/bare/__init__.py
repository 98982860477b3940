"""The yardstick: a plain Celery chain that writes the same domain rows with the services' own functions.

It has no barrier, outbox, relay, saga, event or log line. Everything else is as ours: threads and their number,
prefetch, quorum queues, late acks, confirms, `mandatory`, task events, kept database connections, the calls to
the sandbox, one worker process and one database a service.
"""
