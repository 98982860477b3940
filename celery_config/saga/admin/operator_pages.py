"""Operator pages: the verbs on the page of a flow, and in its list. Each shows first what it would do, and asks why."""

from __future__ import annotations

from celery_config.saga.admin.acted import ActedFilter
from celery_config.saga.admin.batches import BatchFilter
from celery_config.saga.admin.cause import FailingFilter, FingerprintFilter
from celery_config.saga.admin.pages_of_many import PagesOfMany
from celery_config.saga.admin.pages_of_one import PagesOfOne
from celery_config.saga.admin.widgets import WORDS_OF_STATUSES
from celery_config.web.columns import EMPTY, column, number_column, time_column
from celery_config.web.lists import WordsFilter

# The label says it: beside wall-clock times, saga times look wrong.
DRIVEN = (
    number_column("attempt", "sent again"),
    number_column("drives", "of these since it has this status"),
    time_column("since", "in this status since (saga time)"),
    time_column("deadline_at", "deadline (saga time)"),
    time_column("due_at", "looked at next (saga time)"),
)
DECIDED = (
    column("text", "owner", "who decides", lambda row: row.owner or EMPTY),
    time_column("answer_by", "to be decided by"),
    column("text", "fingerprint", "why it waits", lambda row: row.fingerprint or EMPTY),
)


class StatusFilter(WordsFilter):
    title, parameter_name, words = "status", "status__exact", WORDS_OF_STATUSES


FLOW_FILTERS = (FingerprintFilter, FailingFilter, ActedFilter, BatchFilter)


class OperatorPages(PagesOfMany, PagesOfOne):
    """The admin of the rows of a watched flow."""
