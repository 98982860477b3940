"""Pages of many flows: their list with why each waits, and a verb for those that are chosen or have one cause."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotFound
from django.shortcuts import redirect
from django.urls import URLPattern
from unfold.decorators import display

from celery_config.errors import OperatorRefused
from celery_config.saga.admin.acted import ACTED, build_acted, find_acted, get_acted_url, read_acted
from celery_config.saga.admin.bulk_actions import WHOLE, show_bulk_page, take_first
from celery_config.saga.admin.cause import VERB, build_cause, filter_cause, get_cause_url, name_cause
from celery_config.saga.admin.flow_admin import FlowAdmin
from celery_config.saga.admin.forms import WhyForm
from celery_config.saga.admin.holds import show_hold_page
from celery_config.saga.batches.choosing import make_batch
from celery_config.saga.holds.choosing import choose_flows
from celery_config.saga.operations.acts import name_act
from celery_config.saga.operations.explanation import find_hindrance, find_line
from celery_config.saga.operations.flow_reader import read_flows
from celery_config.saga.operations.permissions import MAKES_BATCHES, list_needs
from celery_config.web.columns import EMPTY, get_page_url
from celery_config.web.forms import is_valid_key
from celery_config.web.live import answer_fragment


class PagesOfMany(FlowAdmin):
    actions = ("retry_each", "compensate_each", "hold_each")
    list_before_template = "saga/list_top.html"

    def get_urls(self) -> list[URLPattern]:
        views = {"each": ("each/", self.each_view), "acted": ("acted/", self.acted_view)}
        return [*self.make_urls(views), *super().get_urls()]

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Add to each row of the page why it waits, fails or was stopped: with two queries for all."""
        page: Any = super().get_changelist_instance(request)
        rows = list(page.result_list)
        facts = read_flows(rows)
        for row in rows:
            row.line = find_line(facts[row.pk]) or find_hindrance(facts[row.pk])
        page.result_list = rows
        page.cause = build_cause(
            page, facts.values(), verbs=[name for name in self.flow.verbs if self.is_permitted(name, request)]
        )
        page.acted = find_acted(page)
        return page  # type: ignore[no-any-return]

    @display(description="why")
    def why(self, row: Any) -> str:
        return row.line or EMPTY

    def each_view(self, request: HttpRequest) -> HttpResponse:
        """A verb for all that wait, or fail, for one cause; a POST acts on those that the page showed.

        Of more than a page takes, a POST makes a batch.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        verb, cause = request.GET.get(VERB, ""), name_cause(request.GET.dict())
        if verb not in self.flow.verbs or not cause:
            return HttpResponseNotFound()
        if not self.is_permitted(verb, request):
            raise PermissionDenied
        rows = self.get_queryset(request)
        if WHOLE in request.POST:
            if not request.user.has_perms(list_needs(MAKES_BATCHES, verb, of_letters=False)):
                raise PermissionDenied
            return self.make_batch_from(
                request, filter_cause(rows, cause), verb, get_cause_url(self.model, cause)
            )
        if request.method == "POST":
            keys = request.POST.getlist(ACTION_CHECKBOX_NAME)
            rows = rows.filter(pk__in=[key for key in keys if is_valid_key(self.opts.pk, key)])
        else:
            rows = filter_cause(rows, cause)
        first, left = take_first(rows.order_by("pk"))
        (line,) = cause.values()
        back = get_cause_url(self.model, cause)
        return show_bulk_page(self, request, first, verb, back=back, left=left, line=line)

    def make_batch_from(
        self, request: HttpRequest, rows: QuerySet[Any], verb: str, back: str
    ) -> HttpResponse:
        """Make a batch of these rows and lead to its page; without a reason, lead back."""
        why = WhyForm(request.POST)
        try:
            if not why.is_valid():
                raise OperatorRefused("say why: it is kept with your name")
            batch = make_batch(
                self.flow, rows, verb, chosen_by=name_cause(request.GET.dict()),
                by=request.user.get_username(), why=why.cleaned_data["why"],
            )  # fmt: skip
        except OperatorRefused as refusal:
            self.message_user(request, f"Nothing was changed: {refusal}", messages.ERROR)
            return redirect(back)
        return redirect(get_page_url(batch))

    def acted_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the fragment that counts what became of the rows that were acted on at once."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        acts = request.GET.get(ACTED, "")
        acted = {**build_acted(self.model, acts, read_acted(acts)), "list": get_acted_url(self.model, acts)}
        return answer_fragment(request, "saga/acted.html", {"acted": acted})

    @admin.action(description=f"{name_act('retry')}…", permissions=["retry"])
    def retry_each(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
        return self.show_chosen(request, rows, "retry")

    @admin.action(description=f"{name_act('compensate')}…", permissions=["compensate"])
    def compensate_each(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
        return self.show_chosen(request, rows, "compensate")

    @admin.action(description=f"{name_act('hold')}…", permissions=["hold"])
    def hold_each(self, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
        """Hold the chosen rows that are under way; of a whole list, as many as one hold may name."""
        try:
            target = choose_flows(rows)
        except OperatorRefused as refusal:
            self.message_user(request, f"Nothing was changed: {refusal}", messages.ERROR)
            return None
        hidden = [("action", "hold_each"), *((ACTION_CHECKBOX_NAME, str(pk)) for pk in target.flows)]
        return show_hold_page(self, request, target, request.get_full_path(), hidden=hidden)

    def show_chosen(self, request: HttpRequest, rows: QuerySet[Any], verb: str) -> HttpResponse:
        first, left = take_first(rows)
        return show_bulk_page(self, request, first, verb, back=request.get_full_path(), left=left)
