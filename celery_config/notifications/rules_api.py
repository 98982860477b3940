"""Rules and messages over HTTP: who is told of what, a test of it, and what became of each message."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.db import IntegrityError, transaction
from django.shortcuts import get_object_or_404
from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from celery_config.common.conditions import ConditionKind, Severity
from celery_config.errors import OperatorRefused
from celery_config.messaging.idempotency import Answer, answer_once, find_row
from celery_config.notifications.addresses import hide_path
from celery_config.notifications.delivery import send_again, send_test
from celery_config.notifications.models import Channel, Delivery, NotificationRule
from celery_config.web.change_log import CREATED, DELETED, Kind, record_changes
from celery_config.web.fields import StrictBooleanField, StrictCharField, StrictIntegerField, WordField
from celery_config.web.inputs import ClientInput, KnownFieldsOnly
from celery_config.web.parsers import parse_body
from celery_config.web.permissions import Needs
from celery_config.web.problems import Conflict
from celery_config.web.refusals import Refusals

MAY_CHANGE = "notifications.change_notificationrule"
LONGEST_REPEAT = 2**31 - 1
NO_SECRET = "Give the secret that signs the webhook and that its receiver has, too: it is never shown here."
NOT_GIVEN_UP = "the message is not given up, or its rule was deleted"


class RuleNameTaken(Conflict):
    default_code = "rule_name_taken"
    default_detail = "Another rule has this name. Choose another one."


class RuleSerializer(KnownFieldsOnly, serializers.ModelSerializer[NotificationRule]):
    name = StrictCharField(max_length=80)
    enabled = StrictBooleanField(default=True)
    channel = WordField([each.value for each in Channel], default=Channel.EMAIL.value)
    emails = StrictCharField(
        max_length=5000, allow_blank=True, default="", help_text="of e-mail: addresses, separated by commas"
    )
    url = StrictCharField(
        max_length=500,
        allow_blank=True,
        default="",
        help_text="of a webhook: the address to which it is sent; without its path for those who may not change it",
    )
    secret = StrictCharField(
        max_length=120,
        required=False,
        write_only=True,
        help_text="of a webhook: what signs it (Standard Webhooks); it is written and never shown",
    )
    kinds = serializers.ListField(
        child=WordField([each.value for each in ConditionKind]),
        default=list,
        max_length=100,
        help_text="which conditions; none: all of them",
    )
    least_severity = WordField([each.value for each in Severity], default=Severity.TICKET.value)
    repeat_seconds = StrictIntegerField(
        min_value=0,
        max_value=LONGEST_REPEAT,
        default=4 * 3600,
        help_text="while it lasts and is not acknowledged; 0: it is not repeated",
    )

    class Meta:
        model = NotificationRule
        fields = (
            "id", "name", "enabled", "channel", "emails", "url", "secret", "kinds", "least_severity",
            "repeat_seconds", "from_environment",
        )  # fmt: skip
        read_only_fields = ("id", "from_environment")

    def to_representation(self, rule: NotificationRule) -> dict[str, Any]:
        shown = super().to_representation(rule)
        if not self.context["request"].user.has_perm(MAY_CHANGE):
            shown["url"] = hide_path(rule.url)
        return shown

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        """
        Raises:
            ValidationError: the rule would reach no one, or nothing would sign its webhooks.
        """
        before: NotificationRule | None = self.instance  # type: ignore[assignment]
        fields = [field.name for field in NotificationRule._meta.concrete_fields]
        kept = {name: getattr(before, name) for name in fields} if before else {}
        rule = NotificationRule(**{**kept, **given})
        was_webhook = before is not None and before.channel == Channel.WEBHOOK
        if rule.channel == Channel.WEBHOOK and not was_webhook and "secret" not in given:
            raise serializers.ValidationError({"secret": ErrorDetail(NO_SECRET, "required")})
        rule.clean()
        return given

    def save(self, **fields: Any) -> NotificationRule:
        """Write the rule, and who changed which of its fields.

        Raises:
            RuleNameTaken: another rule has its name.
        """
        changed = [
            name
            for name, value in self.validated_data.items()
            if self.instance is None or getattr(self.instance, name) != value
        ]
        is_new = self.instance is None
        try:
            with transaction.atomic():
                rule = super().save(**fields)
        except IntegrityError as error:
            raise RuleNameTaken from error
        if is_new or changed:
            log_change(rule.pk, [CREATED] if is_new else sorted(changed), self.context["request"])
        return rule


def log_change(rule: int, what: list[str], request: Request) -> None:
    """Record who changed a rule; of what was changed only the names, since addresses are personal."""
    record_changes(Kind.RULE, {str(rule): what}, by=request.user.get_username())


class DeliveryOutput(serializers.ModelSerializer[Delivery]):
    class Meta:
        model = Delivery
        fields = (
            "id", "incident", "rule", "target", "message", "number", "outcome", "attempts", "next_at", "created_at",
            "sent_at", "error",
        )  # fmt: skip


MADE = Answer[NotificationRule](
    lambda rule, request: RuleSerializer(rule, context={"request": request}).data,
    find_row(NotificationRule),
    status.HTTP_201_CREATED,
)
DELIVERED = Answer[Delivery](lambda delivery, _: DeliveryOutput(delivery).data, find_row(Delivery))


class RuleList(generics.ListAPIView[NotificationRule]):
    """Who is told of what, by name."""

    serializer_class = RuleSerializer
    queryset = NotificationRule.objects.all()
    ordering = "name"
    filterset_fields = ("channel", "enabled")
    refusals: Refusals = {"POST": [RuleNameTaken]}

    @extend_schema(responses={201: RuleSerializer})
    @answer_once(MADE)
    @transaction.atomic
    def post(self, request: Request) -> NotificationRule:
        """Make a rule. A webhook goes to a public address over TLS, or into a network of NOTIFY_NETWORKS."""
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        return form.save()


class RuleShow(generics.RetrieveUpdateDestroyAPIView[NotificationRule]):
    """One rule, without its secret. The one from NOTIFY_EMAILS follows the setting with its addresses."""

    serializer_class = RuleSerializer
    queryset = NotificationRule.objects.all()
    refusals: Refusals = {"PUT": [RuleNameTaken], "PATCH": [RuleNameTaken]}

    @transaction.atomic
    def update(self, request: Request, *args: Any, **options: Any) -> Response:
        # What is checked are the fields together: they must not change in between.
        self.queryset = NotificationRule.objects.select_for_update()
        return super().update(request, *args, **options)

    @transaction.atomic
    def perform_destroy(self, rule: NotificationRule) -> None:
        log_change(rule.pk, [DELETED], self.request)
        rule.delete()


class RuleTest(APIView):
    needs: Needs = {"POST": (MAY_CHANGE,)}
    throttle_scope = "verbs"

    @extend_schema(request=ClientInput, responses={200: DeliveryOutput})
    @answer_once(DELIVERED)
    def post(self, request: Request, pk: int) -> Delivery:
        """Send a test by this rule now, and wait for what becomes of it: ten seconds at most. It is not tried again."""
        parse_body(ClientInput, request)
        return send_test(get_object_or_404(NotificationRule, pk=pk))


class DeliveryList(generics.ListAPIView[Delivery]):
    """Messages with what became of them, newest first."""

    serializer_class = DeliveryOutput
    queryset = Delivery.objects.all()
    filterset_fields = ("incident", "outcome")


class DeliveryShow(generics.RetrieveAPIView[Delivery]):
    """One message with what became of it."""

    serializer_class = DeliveryOutput
    queryset = Delivery.objects.all()


class SendAgain(APIView):
    needs: Needs = {"POST": ("notifications.change_delivery",)}
    throttle_scope = "verbs"
    refusals: ClassVar[Refusals] = {"POST": [OperatorRefused]}

    @extend_schema(request=ClientInput, responses={200: DeliveryOutput})
    @answer_once(DELIVERED)
    def post(self, request: Request, pk: UUID) -> Delivery:
        """Let a message that was given up be sent again. 409: it is not given up, or its rule was deleted."""
        parse_body(ClientInput, request)
        if not send_again([get_object_or_404(Delivery, pk=pk)]):
            raise OperatorRefused(NOT_GIVEN_UP)
        return Delivery.objects.get(pk=pk)


urlpatterns = [
    path("notification-rules/", RuleList.as_view(), name="notification-rules"),
    path("notification-rules/<int:pk>/", RuleShow.as_view(), name="notification-rule"),
    path("notification-rules/<int:pk>/test/", RuleTest.as_view(), name="notification-rule-test"),
    path("deliveries/", DeliveryList.as_view(), name="deliveries"),
    path("deliveries/<uuid:pk>/", DeliveryShow.as_view(), name="delivery"),
    path("deliveries/<uuid:pk>/send-again/", SendAgain.as_view(), name="delivery-send-again"),
]
