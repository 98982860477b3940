"""The page of requests: what one person asks for, and the buttons with which another one decides."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from json import dumps
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from unfold.decorators import action

from celery_config.saga.admin.forms import WhyForm
from celery_config.saga.admin.widgets import confirm_and_act
from celery_config.saga.approvals.models import ApprovalRequest
from celery_config.saga.approvals.states import RequestState
from celery_config.saga.models import OperatorAction
from celery_config.saga.operations import approvals
from celery_config.saga.operations.acts import describe_target, name_act
from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.board import make_table
from celery_config.web.columns import EMPTY, column, get_page_url, json_column, label_column, make_link
from celery_config.web.lists import WordsFilter

WORDS = {
    RequestState.OPEN.value: "waits for another person",
    RequestState.APPROVED.value: "approved",
    RequestState.DECLINED.value: "declined",
    RequestState.EXPIRED.value: "expired",
}
COLOURS = {
    RequestState.OPEN.value: "warning",
    RequestState.APPROVED.value: "success",
    RequestState.DECLINED.value: "danger",
    RequestState.EXPIRED.value: "info",
}
STATE = label_column("state", COLOURS, words=WORDS)
ACT = column("text", "act", "what is asked for", lambda row: name_act(row.act))
TARGET = column("text", "what", "on what", lambda row: describe_target(row.what) if row.what else EMPTY)
ON = column("link", "row", "look at it", lambda asked: link_row(asked))
TITLES = {"approve": "Approve", "decline": "Decline"}
ABOUT = {
    "approve": "It is done now, in the name of both of you.",
    "decline": "It is not done. Who asked for it may ask again.",
}


def link_row(asked: ApprovalRequest) -> Any:
    """Return the way to the page of what a request is about."""
    return make_link(f"admin:{asked.kind.replace('.', '_')}_change", asked.row, str(asked.row))


def tell_arguments(asked: ApprovalRequest) -> dict[str, Any]:
    """Return the table of what an act needs, which the one who approves reads first."""
    told = {name: each if isinstance(each, str) else dumps(each) for name, each in asked.arguments.items()}
    what = [[name_act(asked.act), describe_target(asked.what)]] if asked.what else []
    return make_table(["what", "value"], [*what, ["on", link_row(asked)], *map(list, told.items())])


class StateFilter(WordsFilter):
    title, parameter_name, words = "state", "state__exact", WORDS


@admin.register(ApprovalRequest)
class RequestAdmin(ReadOnlyAdmin):
    """Who sees requests decides about those of acts that they may perform themselves, and takes back their own."""

    list_display = ("asked_at", ACT, TARGET, "asked_by", "why", STATE, "expires_at")
    list_filter = (StateFilter,)
    search_ids = ("id", "row")
    search_help_text = "id of the request, the saga, the order or the batch"
    ordering = ("-asked_at",)
    fields = (
        ACT, TARGET, ON, json_column("arguments"), "asked_by", "why", "asked_at", "expires_at", STATE,
        "decided_by", "decided_why", "decided_at",
    )  # fmt: skip
    actions_detail = ("approve", "decline")
    actions_detail_hide_default = True
    nothing_yet = "Nothing is asked for. With FOUR_EYES some acts need the approval of another person."

    @action(description=TITLES["approve"], icon="check", permissions=["view"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.decide(request, object_id, "approve", approvals.approve)

    @action(description=TITLES["decline"], icon="close", permissions=["view"])
    def decline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.decide(request, object_id, "decline", approvals.decline)

    def decide(
        self, request: HttpRequest, object_id: str, decision: str, decide: Callable[..., OperatorAction]
    ) -> HttpResponse:
        asked: ApprovalRequest | None = self.get_object(request, object_id)
        if asked is None:
            return self.redirect_to_list(request, object_id)
        by = request.user.get_username()
        if not request.user.has_perms(approvals.list_needs(asked, decision, by)):
            raise PermissionDenied
        is_approving = decision == "approve"
        context: dict[str, Any] = {
            "title": f"{TITLES[decision]}: {name_act(asked.act)}",
            "about": f"{asked.asked_by} asks for it: {asked.why}. {ABOUT[decision]}",
            "button": TITLES[decision],
            "refused": approvals.explain_refusal(asked, by)
            if is_approving
            else approvals.explain_closed(asked),
            "original": asked,
            "tables": [("What is asked for", tell_arguments(asked))],
        }
        return confirm_and_act(
            self,
            request,
            WhyForm(request.POST or None),
            get_page_url(asked),
            partial(decide, asked.pk),
            **context,
        )
