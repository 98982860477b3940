"""Tables of the orchestrator: sagas, their log and decisions, saga time, operators' actions, dead letters."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from celery_config.common.correlation import (
    LONGEST_REQUEST_ID,
    TRACEPARENT_LENGTH,
    Origin,
    name_request,
)
from celery_config.common.identifiers import abbreviate_id, uuid7
from celery_config.contracts.privacy import hide_name
from celery_config.db.functions import IdEnding, Now
from celery_config.db.settled_time import SettledTime
from celery_config.messaging.models import DealtWithRow
from celery_config.saga.dsl import LONGEST_NAME, StepKind
from celery_config.saga.states import OPEN, Status, StepState


class SagaClock(models.Model):
    """Saga time: one row, which stands while the broker or a participant is down (rule 17, the watchdog)."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    now = models.DateTimeField()
    ticked_at = models.DateTimeField()
    stands_since = models.DateTimeField(
        null=True, help_text="wall time since which it stands; empty: it runs"
    )
    stands_for = models.CharField(
        max_length=200, blank=True, db_default="", default="", help_text="why it stands"
    )

    def __str__(self) -> str:
        return f"saga time {self.now}"


class WatchedRow(models.Model):
    """A flow that the watchdog checks. Decisions about it hold this row's lock. Fields marked so are in saga time.

    A parked row has an owner and a time by which the owner decides (rule 25, parked).
    """

    name: Any
    """The kind of flow."""
    subject: Any
    """The id of what it is about."""

    status = models.CharField(
        max_length=12, choices=[(s.value, s.value) for s in Status], default=Status.RUNNING.value
    )
    cause = models.JSONField(default=dict, blank=True, help_text="why it was stopped or parked")
    attempt = models.PositiveIntegerField(default=0, help_text="how often it was sent again")
    drives = models.PositiveIntegerField(default=0, help_text="re-drives by the watchdog in this status")
    deadline_at = models.DateTimeField(help_text="saga time")
    since = models.DateTimeField(help_text="in this status since; saga time")
    due_at = models.DateTimeField(null=True, blank=True, help_text="when the watchdog looks; saga time")
    held_since = models.DateTimeField(
        null=True, blank=True, help_text="what it waits for is held by an operator since; saga time"
    )
    hold = models.UUIDField(null=True, blank=True, help_text="the hold")
    held_times: models.JSONField[Any, Any] = models.JSONField(
        null=True, blank=True, default=None, help_text="when it was held, by whom and why; the last ones"
    )
    owner = models.CharField(
        max_length=150,
        blank=True,
        db_default="",
        default="",
        help_text="who has to decide about it while it is parked",
    )
    answer_by = models.DateTimeField(
        null=True, blank=True, help_text="by when its owner decides about it; by the clock on the wall"
    )
    fingerprint = models.CharField(
        max_length=200,
        blank=True,
        db_default="",
        default="",
        help_text="what parked it, without what is its own",
    )
    request_id = models.CharField(
        max_length=LONGEST_REQUEST_ID,
        blank=True,
        db_default="",
        default="",
        help_text="the request that began it; every line of log about it has this id",
    )
    traceparent = models.CharField(
        max_length=TRACEPARENT_LENGTH,
        blank=True,
        db_default="",
        default="",
        help_text="the trace it belongs to",
    )

    class Meta:
        abstract = True

    @property
    def origin(self) -> Origin:
        return Origin(self.request_id, self.traceparent)

    @property
    def log_ids(self) -> dict[str, str]:
        """The ids of a log line about it."""
        return {"saga": str(self.pk), **name_request(self.request_id)}


class SagaInstance(WatchedRow):
    """One run of a saga."""

    id = models.UUIDField(primary_key=True, default=uuid7)
    name = models.CharField(max_length=LONGEST_NAME)
    version = models.PositiveSmallIntegerField()
    subject = models.CharField(max_length=64, help_text="what it is about: the order's id")
    data = models.JSONField()
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "saga"
        # A row is not edited: each verb has a permission of its own.
        default_permissions = ("view",)
        permissions: ClassVar = [
            ("retry_sagainstance", "Can bring sagas and orders to an end"),
            ("compensate_sagainstance", "Can cancel and undo sagas and orders"),
            ("resume_sagainstance", "Can finish sagas that are past their point of no return"),
            ("take_over_sagainstance", "Can take over what waits for a decision"),
            ("settle_sagainstance", "Can settle calls by hand"),
            ("hurry_sagainstance", "Can have sagas and orders looked at now"),
            ("reschedule_sagainstance", "Can change the deadline of sagas and orders"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(due_at__isnull=False) | ~models.Q(status__in=[s.value for s in OPEN]),
                name="an_open_saga_is_due_some_time",
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at"], name="saga_due", condition=models.Q(due_at__isnull=False)),
            models.Index(fields=["subject"], name="saga_by_subject"),
            models.Index(IdEnding("id"), name="saga_by_ending"),
            models.Index(IdEnding("subject"), name="saga_by_subject_ending"),
            models.Index(fields=["-started_at"], name="saga_by_age"),
            models.Index(
                fields=["status"],
                name="saga_unended",
                condition=~models.Q(status__in=["completed", "compensated"]),
            ),
            models.Index(
                fields=["hold", "id"], name="saga_held", condition=models.Q(held_since__isnull=False)
            ),
            # For the sums by the minute: one entry for each saga, written when it ends.
            models.Index(fields=["ended_at"], name="saga_by_end", condition=models.Q(ended_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.name.replace('-', ' ')} {abbreviate_id(self.subject)}"


class ParkedSaga(SagaInstance):
    """The same rows, for the admin page of parked sagas."""

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = "parked"
        default_permissions = ()


class SagaStep(models.Model):
    """The saga log's entry of a step: a hint, fed by events; the participant's barrier is the truth."""

    # The unique constraint's index finds the steps of a saga.
    saga = models.ForeignKey(SagaInstance, on_delete=models.CASCADE, related_name="steps", db_index=False)
    name = models.CharField(max_length=LONGEST_NAME)
    position = models.PositiveSmallIntegerField(help_text="for display only; steps are known by name")
    kind = models.CharField(max_length=13, choices=[(k.value, k.value) for k in StepKind])
    command = models.CharField(max_length=120)
    logged = models.CharField(
        max_length=7,
        blank=True,
        default="",
        choices=[(o.value, o.value or "not known yet") for o in StepState],
    )
    reply: models.JSONField[Any, Any] = models.JSONField(null=True, blank=True)
    refusal: models.JSONField[Any, Any] = models.JSONField(null=True, blank=True)
    failure: models.JSONField[Any, Any] = models.JSONField(
        null=True, blank=True, help_text="why its participant gave up last, and on which operation"
    )
    updated_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "saga step"
        ordering: ClassVar = ["position"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["saga", "name"], name="saga_step_once")]

    def __str__(self) -> str:
        return f"{self.name}: {self.logged or 'not known yet'}"


class SagaDecision(models.Model):
    """A decision off the happy path: the trigger, the change of status, what was sent."""

    saga = models.ForeignKey(SagaInstance, on_delete=models.CASCADE, related_name="decisions")
    at = models.DateTimeField(db_default=Now())
    came = models.CharField(max_length=200)
    status_before = models.CharField(max_length=12)
    status_after = models.CharField(max_length=12)
    sent = models.CharField(max_length=200, blank=True)
    detail = models.TextField(blank=True)

    class Meta:
        verbose_name = "decision"
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.came}: {self.status_before} → {self.status_after}"


class StepTry(models.Model):
    """A try of a step that did not succeed. Append-only; the happy path writes none."""

    event = models.UUIDField(unique=True, help_text="the id of the event that told of it")
    # No key to the saga: it may be a choreographed order.
    flow = models.UUIDField(help_text="the saga, or the choreographed order")
    step = models.CharField(max_length=80)
    operation = models.CharField(max_length=5, help_text="do, undo, fence")
    number = models.PositiveIntegerField(help_text="how often it was tried, over all drives")
    code = models.CharField(max_length=64)
    reason = models.TextField(blank=True)
    at = models.DateTimeField()
    next_at = models.DateTimeField(null=True, help_text="when it is tried again; empty: it was given up")

    class Meta:
        verbose_name = "failed try"
        verbose_name_plural = "failed tries"
        default_permissions = ()
        indexes: ClassVar = [models.Index(fields=["flow", "at"], name="step_try_by_flow")]

    def __str__(self) -> str:
        return f"try {self.number} to {self.operation} {self.step} of {self.flow}"


class OperatorAction(models.Model):
    """An operator's action on a saga, a choreographed order, or the start of new ones. Append-only."""

    saga = models.ForeignKey(
        SagaInstance, on_delete=models.PROTECT, null=True, blank=True, related_name="operator_actions"
    )
    at = models.DateTimeField(db_default=Now())
    verb = models.CharField(max_length=20)
    subject = models.CharField(
        max_length=64, blank=True, db_default="", default="", help_text="what it is about: the order's id"
    )
    what = models.CharField(max_length=200, help_text="the step, or what was paused")
    by = models.CharField(max_length=150)
    asked_by = models.CharField(
        max_length=150,
        blank=True,
        db_default="",
        default="",
        help_text="whose request was approved or declined",
    )
    why = models.TextField()
    effect = models.CharField(max_length=300, help_text="what it changed and what was sent")

    class Meta:
        verbose_name = "operator's action"
        ordering: ClassVar = ["-at", "-id"]
        indexes: ClassVar = [
            models.Index(fields=["-at", "-id"], name="operator_action_by_age"),
            models.Index(fields=["subject"], name="operator_action_by_subject"),
        ]

    def __str__(self) -> str:
        # Its verb has another name on the pages.
        return f"action {self.pk} by {self.by}"


class SagaPause(models.Model):
    """While the row exists, no new saga of this name, or with this step, starts."""

    saga = models.CharField(max_length=80, blank=True, default="", help_text="name of the sagas")
    step = models.CharField(max_length=80, blank=True, default="", help_text="or name of a step")
    since = models.DateTimeField(db_default=Now())
    by = models.CharField(max_length=150)
    why = models.TextField()

    class Meta:
        verbose_name = "pause"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["saga", "step"], name="paused_once"),
            models.CheckConstraint(
                condition=models.Q(saga="") ^ models.Q(step=""), name="pause_of_a_saga_or_a_step"
            ),
        ]

    def __str__(self) -> str:
        return f"no new sagas {'of ' + self.saga if self.saga else 'with step ' + self.step}"


class LetterAct(models.TextChoices):
    """What an operator may do about a dead letter."""

    DISMISS = "dismiss", "dismissed"
    SEND = "send again", "sent again"
    REBUILD = "rebuild", "rebuilt"


SET_ASIDE_REASON = "set aside"
"""Of a row that a service's outbox cannot send."""
LETTER_UNDER_WAY = models.Q(act__in=[LetterAct.SEND.value, LetterAct.REBUILD.value], became="")
"""Letters of which it is not known yet what became of them."""


class DeadLetter(DealtWithRow):
    """A message from the dead-letter queue (rule 19, dead letters).

    Once it is dealt with, it is deleted after its time.
    """

    received_at = models.DateTimeField(db_default=Now())
    reason = models.CharField(max_length=40, help_text="rejected, delivery_limit, expired, maxlen")
    queue = models.CharField(max_length=120)
    task = models.CharField(max_length=200, blank=True)
    task_id = models.CharField(max_length=255, blank=True)
    saga = models.UUIDField(null=True, blank=True, db_index=True)
    step = models.CharField(max_length=80, blank=True)
    operation = models.CharField(max_length=20, blank=True)
    fault = models.CharField(max_length=300, blank=True, default="", help_text="what is wrong with it")
    consequence = models.CharField(max_length=200, help_text="what was done about it")
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True)
    fingerprint = models.CharField(
        max_length=16, blank=True, db_default="", default="", help_text="the group of letters with this fault"
    )
    act = models.CharField(
        max_length=10,
        blank=True,
        db_default="",
        default="",
        choices=LetterAct,
        help_text="what an operator did about it",
    )
    became = models.CharField(
        max_length=11, blank=True, db_default="", default="", help_text="what became of it after that"
    )

    class Meta:
        verbose_name = "dead letter"
        constraints: ClassVar = [
            # Two relays may ask for them at the same moment.
            models.UniqueConstraint(
                fields=["task_id"],
                name="set_aside_once",
                condition=models.Q(reason=SET_ASIDE_REASON, dealt_with_at__isnull=True),
            )
        ]
        indexes: ClassVar = [
            models.Index(fields=["-received_at"], name="dead_letter_by_age"),
            models.Index(
                fields=["received_at"],
                name="dead_letter_open",
                condition=models.Q(dealt_with_at__isnull=True),
            ),
            # The groups are counted from this index alone.
            models.Index(
                fields=["fingerprint", "received_at"],
                name="dead_letter_by_fault",
                condition=models.Q(dealt_with_at__isnull=True),
            ),
            models.Index(fields=["fingerprint", "-received_at"], name="dead_letter_of_group"),
            # Whether one that was sent again came back.
            models.Index(fields=["task_id"], name="dead_letter_by_message"),
            models.Index(fields=["id"], name="dead_letter_under_way", condition=LETTER_UNDER_WAY),
        ]

    def __str__(self) -> str:
        return f"{hide_name(self.task) or 'a message'} from {hide_name(self.queue)}: {self.reason}"


class LetterGroup(models.Model):
    """Dead letters with one task and one fault, but for ids and other values; the reader writes the row once."""

    fingerprint = models.CharField(primary_key=True, max_length=16)
    task = models.CharField(max_length=200, blank=True)
    fault = models.CharField(max_length=300, blank=True, help_text="without ids, numbers and quoted values")
    release = models.CharField(
        max_length=80, blank=True, help_text="of the order service when the first came"
    )
    first_at = models.DateTimeField(db_default=Now(), help_text="when the first of them came")

    class Meta:
        verbose_name = "dead letters with one fault"
        verbose_name_plural = "dead letters by fault"
        default_permissions = ()
        indexes: ClassVar = [models.Index(fields=["first_at"], name="letter_group_by_age")]

    def __str__(self) -> str:
        return f"{self.task or 'a message'}: {self.fault}"


class FlowSum(models.Model):
    """How many flows of one name began or ended in one minute or hour; the relay writes it, see `sums`."""

    class Kind(models.TextChoices):
        BEGAN = "began"
        ENDED = "ended"  # key: the status; bucket: how long it took
        CAUSE = "cause"  # key: the code of why it was undone
        STEP = "step"  # key: the step; bucket: how long after the step before

    seconds = models.PositiveSmallIntegerField(help_text="60: a minute; 3600: an hour")
    at = models.DateTimeField(help_text="when the minute or hour began")
    flow = models.CharField(max_length=80, help_text="the name of the flows")
    kind = models.CharField(max_length=5, choices=Kind)
    key = models.CharField(max_length=80, blank=True)
    bucket = models.SmallIntegerField(help_text="of a duration; -1: none")
    count = models.PositiveIntegerField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["seconds", "at", "flow", "kind", "key", "bucket"], name="summed_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.flow} {self.kind} {self.key} at {self.at}"


class SumMark(SettledTime):
    """How far flows were summed up (one row). Its lock makes the relays sum one after another."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    summed_to = models.DateTimeField(help_text="the sums of all minutes before are final")

    def __str__(self) -> str:
        return f"summed to {self.summed_to}"
