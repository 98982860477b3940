"""`begin SAGA DATA`: starts one saga of any definition.

For trying and for operators. A program starts its sagas in the transaction that writes its subject's row, whose unique
key lets none begin twice (rule 1, the start); this looks whether there is one, and two calls at one moment both begin.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from celery_config.contracts.base import contract_fields, decode
from celery_config.errors import ChainTooLarge, SagaPaused
from celery_config.saga.dsl import Saga
from celery_config.saga.engine.starting import start_sagas
from celery_config.saga.models import SagaInstance


class Command(BaseCommand):
    help = "Start one saga; a saga of this name and subject that is there already stays as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("saga", help="the name of its definition, such as book-trip")
        parser.add_argument("data", help="its data as JSON")
        parser.add_argument(
            "--of-version", type=int, help="the version of the definition; by default the newest"
        )

    def handle(self, *, saga: str, data: str, of_version: int | None, **options: Any) -> None:
        definition = find_definition(saga, of_version)
        try:
            decoded: Any = decode(definition.data, json.loads(data))
        except ValueError as error:
            raise CommandError(f"The data are not those of {saga}: {error}") from error
        subject: UUID = getattr(decoded, contract_fields(definition.data)[0].name)
        if begun := SagaInstance.objects.filter(name=saga, subject=str(subject)).first():
            self.stdout.write(f"{saga} {begun.pk} of {subject} was begun before: it is {begun.status}")
            return
        try:
            with transaction.atomic():
                (begun_id,) = start_sagas(definition, [(subject, decoded)])
        except (SagaPaused, ChainTooLarge) as error:
            raise CommandError(f"Nothing was begun: {error}") from error
        self.stdout.write(f"{saga} {begun_id} of {subject} is begun")


def find_definition(name: str, version: int | None) -> type[Saga]:
    """
    Raises:
        CommandError: there is none.
    """
    versions = {known: saga for (each, known), saga in Saga.registry.items() if each == name}
    if not versions:
        raise CommandError(
            f"There is no saga {name!r}. There are: {', '.join(sorted({n for n, _ in Saga.registry}))}."
        )
    wanted = max(versions) if version is None else version
    if wanted not in versions:
        raise CommandError(
            f"{name} has no version {wanted}. It has: {', '.join(map(str, sorted(versions)))}."
        )
    return versions[wanted]
