"""The tables of four eyes: a unique constraint lets one request of an act be open at a time."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from celery_config.common.identifiers import abbreviate_id, uuid7
from celery_config.db.functions import Now
from celery_config.saga.approvals.states import RequestState


class ApprovalRequest(models.Model):
    """An act that one person asks for, with what it needs, and that another one decides about."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    act = models.CharField(max_length=20, help_text="as the trail names it")
    kind = models.CharField(max_length=80, help_text="the table of the row that it is on")
    row = models.UUIDField(help_text="the saga, the choreographed order, or the batch")
    what = models.CharField(max_length=200, blank=True, help_text="the step, if it is not on the whole row")
    arguments = models.JSONField(default=dict, help_text="what the act needs; emptied when it is decided")
    asked_by = models.CharField(max_length=150)
    why = models.TextField()
    asked_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=RequestState, default=RequestState.OPEN.value)
    decided_by = models.CharField(max_length=150, blank=True, db_default="", default="")
    decided_why = models.TextField(blank=True, db_default="", default="")
    decided_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "request"
        default_permissions = ("view",)
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["act", "row", "what"],
                condition=models.Q(state=RequestState.OPEN.value),
                name="asked_once",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["-asked_at"], name="request_by_age"),
            models.Index(
                fields=["expires_at"],
                name="request_open",
                condition=models.Q(state=RequestState.OPEN.value),
            ),
        ]

    def __str__(self) -> str:
        return f"request {abbreviate_id(self.id)}"


class ActsAlone(models.Model):
    """On how many rows a person acted with one verb without another one's approval; its lock decides."""

    by = models.CharField(max_length=150)
    verb = models.CharField(max_length=20)
    acts = models.JSONField(default=list, help_text="of the last hour: when, as Unix time, and on how many")

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [models.UniqueConstraint(fields=["by", "verb"], name="acts_of_a_person")]

    def __str__(self) -> str:
        return f"{self.verb} by {self.by}"
