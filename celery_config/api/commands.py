"""Commands over REST: the same command, command id, barrier and refusals as over the broker, answered at once."""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
from celery import current_app
from celery.app.task import Context
from celery.exceptions import Ignore, Reject
from django.db import DataError
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.contracts.base import decode
from celery_config.errors import Refused, StepOutlived, Unknown
from celery_config.messaging.deliveries import Delivery, Outcome, ended
from celery_config.messaging.tasks import DurableTask
from celery_config.web.permissions import IsService
from celery_config.web.problems import Conflict, Unprocessable


class Outlived(APIException):
    """410: the step was undone or fenced; it never will run."""

    status_code = status.HTTP_410_GONE
    default_code = "outlived"


class OutcomeUnknown(APIException):
    """502: somebody whom the command needs did not say what became of it."""

    status_code = status.HTTP_502_BAD_GATEWAY
    default_code = "unknown_outcome"


class CommandInput(serializers.Serializer[Any]):
    task = serializers.CharField(max_length=120, help_text="wire name of the command, or `SERVICE.fence`")
    message = serializers.DictField(help_text="what the broker's message of that task holds")
    replies = serializers.DictField(help_text="the replies of the steps before it, by step")


class Commands(APIView):
    permission_classes = (IsService,)

    @extend_schema(request=CommandInput, responses={200: dict})
    def post(self, request: Request) -> Response:
        """Carry out one command: 200 with the `replies` that go on, 422 refused, 410 outlived, 409 for a human.

        `{"ended": true}` answers a fence whose pivot ran. Whatever else goes wrong is a 5xx: nobody knows what was
        done, and the same request is sent again.
        """
        given = CommandInput(data=request.data)
        given.is_valid(raise_exception=True)
        outcome = carried_out(**given.validated_data)
        match outcome:
            case Ignore():
                return Response({"ended": True})
            case Refused():
                raise Unprocessable(outcome.reason, code=outcome.code)
            case StepOutlived():
                raise Outlived(str(outcome))
            case Reject():
                raise Conflict(str(outcome.reason), code="command_rejected")
            case Exception():
                raise outcome
        return Response({"replies": outcome})


def carried_out(task: str, message: dict[str, Any], replies: dict[str, Any]) -> Outcome:
    """The outcome of a task, as the broker's worker would find it; its calls outside are made here.

    Raises:
        NotFound: there is no such task.
        OutcomeUnknown: a call outside ended so.
        Conflict: what it says cannot be stored.
        ValidationError: the message is not what it takes.
    """
    found = current_app.tasks.get(task)
    if not isinstance(found, DurableTask) or not found.work.chained:
        raise NotFound(f"{task} is no command of this service")
    work = found.work
    try:
        delivery = Delivery(Context(), decode(work.message, message), replies)
        # The answer is a part of the command, for the log and the failpoints.
        structlog.contextvars.bind_contextvars(task=task)
        return work.conclude(delivery, ended(work.handle([delivery])))
    except Unknown as error:
        raise OutcomeUnknown(str(error)) from error
    except DataError as error:  # as a message it would be a dead letter: no try will store it
        raise Conflict(
            f"{task} has contents that cannot be stored: {error}", code="command_rejected"
        ) from error
    except msgspec.ValidationError as error:
        raise ValidationError({"message": f"{task} cannot take it: {error}"}) from error
