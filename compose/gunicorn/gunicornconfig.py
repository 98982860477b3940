"""Gunicorn's settings for the web of every service: one line when it is ready, then only warnings and errors."""

from gunicorn.workers.base import Worker

worker_class = "gthread"
workers = 1
threads = 8
# Longer than clients keep an idle connection; otherwise the server closes a connection just as a client uses it.
keepalive = 30
control_socket_disable = True
loglevel = "warning"


def post_worker_init(worker: Worker) -> None:
    """Say that it serves: the application is loaded now."""
    print(f"web ready at {', '.join(map(str, worker.sockets))}", flush=True)
