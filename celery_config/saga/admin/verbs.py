"""The verbs of sagas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from unfold.decorators import action

from celery_config.saga.admin.operator_pages import OperatorPages
from celery_config.saga.admin.widgets import SAGA_PAGE
from celery_config.saga.models import OperatorAction, SagaInstance
from celery_config.saga.operations import operators, previews, selectors
from celery_config.saga.operations.effects import Course
from celery_config.saga.operations.previews import Preview
from celery_config.saga.states import Status


class OperatorVerbs(OperatorPages):
    """For the admin of sagas."""

    page = SAGA_PAGE
    labels: ClassVar[Mapping[str, str]] = {name: verb.label for name, verb in previews.VERBS.items()}
    fitting: ClassVar[Mapping[str, Sequence[str]]] = {
        **{name: tuple(verb.inputs) for name, verb in previews.VERBS.items()},
        "take_over": (Status.PARKED,),
        "settle_by_hand": operators.IN_DOUBT,
    }
    actions_detail = tuple(fitting)

    @action(description="Resume forward", icon="fast_forward", permissions=["act"])
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.verb_page(request, object_id, "resume")

    def named(self, row: SagaInstance) -> str:
        return row.name

    def course_of(self, row: SagaInstance) -> Course:
        return selectors.course_of(row)

    def preview(self, row: SagaInstance, verb: str) -> Preview:
        return previews.preview(row.pk, verb)

    def perform(self, row: SagaInstance, verb: str, *, by: str, why: str) -> OperatorAction:
        return operators.perform(row.pk, verb, by=by, why=why)

    def own(self, row: SagaInstance, *, by: str, why: str) -> OperatorAction:
        return operators.take_over(row.pk, by=by, why=why)

    def settle(
        self, row: SagaInstance, step: str, operation: str, answer: dict[str, Any], *, by: str, why: str
    ) -> OperatorAction:
        return operators.settle_by_hand(row.pk, step, operation, answer, by=by, why=why)
