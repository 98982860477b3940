"""Celery's worker, extended: it carries out messages in batches and loses none."""
