"""The order desk: a page that places orders, each with what shall happen to it, and shows the last ten travel."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from rest_framework.exceptions import APIException

from celery_config.errors import OperatorRefused, SagaPaused
from celery_config.web.admin import ReadOnlyAdmin
from celery_config.web.live import answer_fragment
from celery_config.web.permissions import may
from order_project import cancelling
from order_project.desk import orders, shelves, travels
from order_project.desk.batches import Batch, BatchInvalid
from order_project.desk.curl import write_curl
from order_project.desk.faults import explain_no_faults
from order_project.desk.forms import DeskForm
from order_project.models import Order

PAGE = "admin:order_desk_changelist"
USE, CANCEL = "order.use_desk", "order.change_order"


class DeskAdmin(ReadOnlyAdmin):
    """One page, and the parts of it that the browser asks for."""

    def get_urls(self) -> list[URLPattern]:
        pages = {
            "": (self.changelist_view, "changelist"),
            "products/": (self.show_products, "products"),
            "lines/": (self.show_line, "lines"),
            "orders/": (self.show_orders, "orders"),
            "curl/": (self.show_curl, "curl"),
            "place/": (self.place, "place"),
            "<uuid:object_id>/cancel/": (self.cancel, "cancel"),
        }
        return [
            path(route, self.admin_site.admin_view(view), name=f"order_desk_{name}")
            for route, (view, name) in pages.items()
        ]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm(USE))

    def require(self, request: HttpRequest, *permissions: str) -> None:
        """
        Raises:
            PermissionDenied: the user lacks one of these, or may not use the desk.
        """
        if not may(request.user, USE, *permissions):
            raise PermissionDenied

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        self.require(request)
        products = list(shelves.list_products())
        return self.render_page(request, DeskForm(), products[:1], products)

    def render_page(self, request: HttpRequest, form: DeskForm, lines: Any, products: Any) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request), "opts": self.opts, "title": "Order desk", "form": form,
            "lines": lines, "products": products, "no_faults": explain_no_faults(),
            **self.read_travels(request),
        }  # fmt: skip
        return TemplateResponse(request, "desk/page.html", context)

    def show_products(self, request: HttpRequest) -> HttpResponse:
        """What is sold, by a part of its SKU or name."""
        self.require(request)
        found = shelves.list_products(request.GET.get("q", "")[:64])
        return render(request, "desk/products.html", {"products": found})

    def show_line(self, request: HttpRequest) -> HttpResponse:
        """One more line of the order."""
        self.require(request)
        found = shelves.find_product(request.GET.get("product", ""))
        if found is None:
            return HttpResponse(status=404)
        return render(request, "desk/line.html", {"line": found})

    def show_orders(self, request: HttpRequest) -> HttpResponse:
        """The last orders, which the page asks for again and again."""
        self.require(request)
        return answer_fragment(request, "desk/orders.html", self.read_travels(request))

    def read_travels(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "travels": travels.read_last(),
            "orders_url": reverse("admin:order_desk_orders"),
            "may_cancel": may(request.user, CANCEL),
            "may_view": may(request.user, "order.view_order"),
        }

    def show_curl(self, request: HttpRequest) -> HttpResponse:
        """The order of the form as a request of curl."""
        self.require(request)
        form = DeskForm(request.POST)
        text = write_curl(request, form.make_order()) if form.is_valid() else ""
        return render(request, "desk/curl.html", {"curl": text, "errors": form.errors})

    def place(self, request: HttpRequest) -> HttpResponse:
        """Place the order of the form, or as many of a batch as belong into this second."""
        self.require(request)
        if request.method != "POST":
            return redirect(PAGE)
        try:
            batch = self.read_batch(request)
        except (ValidationError, BatchInvalid) as error:
            return self.tell(request, messages.ERROR, " ".join(getattr(error, "messages", [str(error)])))
        self.check_customer(request, batch)
        try:
            done = batch.place_some()
        except (APIException, SagaPaused) as error:
            done = replace(batch, refused=str(error))
        if done.refused:
            return self.tell(request, messages.ERROR, done.describe())
        if request.headers.get("HX-Request") and done.left:
            answer = render(request, "desk/batch.html", {"batch": done, "order": json.dumps(done.order)})
            return announce(answer)
        return self.tell(request, messages.SUCCESS, done.describe())

    def read_batch(self, request: HttpRequest) -> Batch:
        """
        Raises:
            ValidationError: the form is wrong.
            BatchInvalid: what goes on is none of ours.
        """
        if "order" in request.POST:
            return Batch.read(request.POST)
        form = DeskForm(request.POST)
        if not form.is_valid():
            raise ValidationError(form.describe_faults())
        given = form.cleaned_data
        return Batch(form.make_order(), left=given["count"], rate=given["rate"], note=form.note_card())

    def check_customer(self, request: HttpRequest, batch: Batch) -> None:
        """
        Raises:
            PermissionDenied: the order is for another customer than the desk's, and the user may not.
        """
        if batch.order.get("customer") != str(orders.ensure_desk_customer()):
            self.require(request, "order.add_order")

    def tell(self, request: HttpRequest, level: int, text: str) -> HttpResponse:
        """Say what became of it: in the page, or on the page that is loaded again."""
        if not request.headers.get("HX-Request"):
            self.message_user(request, text, level)
            return redirect(PAGE)
        failed = level == messages.ERROR
        return announce(render(request, "desk/told.html", {"text": text, "failed": failed}))

    def cancel(self, request: HttpRequest, object_id: Any) -> HttpResponse:
        """Ask for the end of an order that is under way."""
        self.require(request, CANCEL)
        order = Order.objects.filter(pk=object_id).first()
        if order is None:
            return self.redirect_to_list(request, str(object_id))
        if request.method != "POST":
            return redirect(PAGE)
        try:
            cancelling.cancel_for(request.user, order=order, why="at the order desk")
        except (APIException, OperatorRefused) as error:
            return self.tell(request, messages.ERROR, str(error))
        if not request.headers.get("HX-Request"):
            return self.tell(request, messages.SUCCESS, cancelling.ASKED)
        # The order's own row says how it stands, and says so as long as it is true.
        return announce(render(request, "desk/cancelled.html", {"text": cancelling.ASKED}))


def announce(answer: HttpResponse) -> HttpResponse:
    """Let the page look at its orders at once."""
    answer["HX-Trigger"] = "placed"
    return answer
