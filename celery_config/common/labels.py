"""The labels of numbers that the board and the terminal (`./manage.py top`) both show: one name for one thing."""

from __future__ import annotations

ON_THEIR_WAY = "On their way"
WAITING = "Waiting for a decision"
OVERDUE = "overdue"
DEAD_LETTERS = "Dead letters"
SAGA_TIME = "Saga time"
RUNS, STANDS = "runs", "stands"

SERVICES = "Services"
SERVICE, MOVES, DOES_NOT_MOVE, COPIES = "service", "moves", "what does not", "copies"
TO_SEND = "Messages to send"
NOT_SENDABLE = "Messages that cannot be sent"

QUEUES = "Queues"
QUEUE_HEADERS = ("queue", "messages that wait", "workers on it")
NOT_KNOWN = "not known"
