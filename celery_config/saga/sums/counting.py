"""Counts flows of one kind that began or ended within some minutes, in few statements however many there are."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import (
    Case,
    CharField,
    DurationField,
    ExpressionWrapper,
    F,
    FloatField,
    Func,
    IntegerField,
    Model,
    Q,
    QuerySet,
    Value,
    When,
    Window,
)
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce, Floor, Greatest, Lag, Left, Ln, TruncMinute

from celery_config.db.functions import fetch_all, parse_time
from celery_config.saga.engine.flows import Times, WatchedFlow
from celery_config.saga.models import FlowSum
from celery_config.saga.states import ENDED, Status
from celery_config.saga.sums.buckets import LEAST, NO_DURATION, PER_DOUBLING

KEY_LENGTH = 80


@dataclass(frozen=True)
class Group:
    """What is counted together; the fields of `FlowSum` without its count."""

    at: datetime
    flow: str
    kind: str
    key: str
    bucket: int


class Seconds(Func):
    """A duration in seconds."""

    output_field = FloatField()

    template = "EXTRACT(EPOCH FROM %(expressions)s)"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(compiler, connection, template="((%(expressions)s) / 1e6)", **context)


def find_bucket(begin: Any, end: Any) -> Any:
    """The bucket of the time between two expressions."""
    took = Seconds(ExpressionWrapper(end - begin, output_field=DurationField()))
    doublings = Ln(Greatest(took / Value(LEAST), Value(1.0), output_field=FloatField()))
    return Cast(Floor(doublings * Value(PER_DOUBLING / math.log(2))), IntegerField())


def count_flow(flow: WatchedFlow[Any, Any], begin: datetime, end: datetime) -> Counter[Group]:
    """Count what began and ended from `begin` to before `end`, minute by minute."""
    counts: Counter[Group] = Counter()
    for kind, rows in list_queries(flow, begin, end):
        for at, name, key, bucket, count in fetch_groups(rows):
            counts[Group(parse_time(at), name, kind, key or "", bucket)] += count
    return counts


def list_queries(
    flow: WatchedFlow[Any, Any], begin: datetime, end: datetime
) -> Iterator[tuple[str, QuerySet[Any, Any]]]:
    """For each kind of sum the rows to count: minute, flow, key, bucket."""
    times, model = flow.times, flow.model
    name = read_name(model)
    rows: QuerySet[Any, Any] = model._default_manager.order_by().filter(times.only)
    began = rows.filter(within(times.began, begin, end))
    none = Value(NO_DURATION)
    yield FlowSum.Kind.BEGAN, began.values_list(TruncMinute(times.began), name(""), Value(""), none)
    ended = rows.filter(within(times.ended, begin, end), status__in=ENDED)
    minute, took = TruncMinute(times.ended), find_bucket(F(times.began), F(times.ended))
    yield FlowSum.Kind.ENDED, ended.values_list(minute, name(""), "status", took)
    undone = ended.filter(status=Status.COMPENSATED)
    code = Left(KeyTextTransform("code", "cause"), KEY_LENGTH)
    yield FlowSum.Kind.CAUSE, undone.values_list(minute, name(""), code, none)
    yield FlowSum.Kind.STEP, list_steps(flow, begin, end)


def list_steps(flow: WatchedFlow[Any, Any], begin: datetime, end: datetime) -> QuerySet[Any, Any]:
    """The steps of what completed: how long after the step before, or the beginning, each was heard of.

    An undo overwrites that time, so the steps of what was undone are not counted.
    """
    table, link, at = flow.news
    times: Times = flow.times
    path = f"{link}__"
    completed = {f"{path}status": Status.COMPLETED, f"{at}__isnull": False}
    rows = table._default_manager.order_by().filter(within(path + times.ended, begin, end), **completed)
    step: Any = F(times.step)
    if times.steps:
        rows = rows.filter(**{f"{times.step}__in": [*times.steps]})
        step = name_steps(times.step, times.steps)
    before = Window(Lag(at), partition_by=F(f"{link}_id"), order_by=[F(at).asc(), F("pk").asc()])
    took = find_bucket(Coalesce(before, F(path + times.began)), F(at))
    # What the indexes leave out is said of the row that the step belongs to.
    owners = flow.model._default_manager.filter(times.only) if times.only else None
    if owners is not None:
        rows = rows.filter(**{f"{link}__in": owners.values("pk")})
    return rows.values_list(TruncMinute(path + times.ended), read_name(flow.model)(path), step, took)


def read_name(model: type[Model]) -> Any:
    """A function from the path to a row to its flow's name: a field, or the same for all."""
    known = getattr(model, "name", None)
    return lambda path: Value(known) if isinstance(known, str) else F(f"{path}name")


def name_steps(field: str, steps: Mapping[str, str]) -> Case:
    cases = [When(Q(**{field: value}), then=Value(name)) for value, name in steps.items()]
    return Case(*cases, output_field=CharField())


def within(path: str, begin: datetime, end: datetime) -> Q:
    return Q(**{f"{path}__gte": begin, f"{path}__lt": end})


def fetch_groups(rows: QuerySet[Any, Any]) -> list[Any]:
    """Count the rows of each kind; Django does not group by what a window function says."""
    sql, parameters = rows.query.sql_with_params()
    numbered = "given(minute, name, key, bucket)"
    return fetch_all(
        f"WITH {numbered} AS ({sql})"
        " SELECT minute, name, key, bucket, COUNT(*) FROM given GROUP BY minute, name, key, bucket",
        parameters,
    )
