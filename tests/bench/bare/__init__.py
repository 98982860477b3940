"""The bare chain: a plain Celery chain that writes the same rows with the services' own functions.

It has no barrier, outbox, relay, saga, event or log line. It runs on kombu's own transport, with the pool, threads and
prefetch that gave the most orders a second when they were tried (`worker.py`). Everything else is as in the order saga:
quorum queues, late acknowledgements, publisher confirms, `mandatory`, task events, kept database connections, the calls
to the sandbox, one worker process and one database a service.
"""
