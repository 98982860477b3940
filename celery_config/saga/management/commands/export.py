"""`export SAGA`: what became of a saga as a test that the simulation plays."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from celery_config.saga.dsl import find_saga
from celery_config.saga.engine.plan import Operation
from celery_config.saga.models import SagaInstance
from celery_config.saga.states import Status, StepState
from celery_config.saga.testing.recorded import RecordedCourse, make_schedule


class Command(BaseCommand):
    help = "Print a test that plays what became of a saga: who refused, what failed, and what stopped it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("saga", help="its id")

    def handle(self, *, saga: str, **options: Any) -> None:
        try:
            row = SagaInstance.objects.prefetch_related("steps").filter(pk=UUID(saga)).first()
        except (ValueError, ValidationError) as error:
            raise CommandError(f"{saga!r} is no id of a saga.") from error
        if row is None:
            raise CommandError(f"There is no saga {saga}.")
        definition = find_saga(row.name, row.version)
        if definition is None:
            raise CommandError(f"This release has no {row.name} version {row.version}.")
        schedule = make_schedule(definition, read_course(row))
        played = schedule.play()
        if played.status != row.status:
            self.stderr.write(
                f"The saga is {row.status}; the simulation of what is kept of it ends {played.status}."
            )
        self.stdout.write(schedule.as_test(ends=played.status))


def read_course(row: SagaInstance) -> RecordedCourse:
    """Return what is kept of a saga and its steps."""
    return RecordedCourse(
        status=Status(row.status),
        stopped_by=str((row.cause or {}).get("code", "")),
        steps={step.name: StepState(step.logged) for step in row.steps.all()},
        given_up={
            step.name: Operation(step.failure["operation"])
            for step in row.steps.all()
            if step.failure and step.failure.get("operation") in [*Operation]
        },
    )
