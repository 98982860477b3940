"""The admin kit: no page of a large table reads the whole table, and pages of facts are read-only."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import flatten_fieldsets, unquote
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db import transaction
from django.db.models import CharField, IntegerField, Q, QuerySet, TextField
from django.forms import Media
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import (
    AdminPasswordChangeForm,
    PaginationInlineFormSet,
    UserChangeForm,
    UserCreationForm,
)
from unfold.views import ChangeList

from celery_config.web.columns import json_column
from celery_config.web.forms import AutocompleteWidget, StrictIntegerField, is_valid_key
from celery_config.web.fresh_forms import MADE_FROM, make_fresh
from celery_config.web.lists import (
    BoundedPaginator,
    OfferedFiltersOnly,
    find_sorted_fields,
    present_in_list,
    text_filter,
)
from celery_config.web.models import ChangeRecord, UserToken
from celery_config.web.search import WordSearch
from celery_config.web.text import validate_visible

OF_SLUGS = ("urlify.js", "prepopulate.js", "xregexp.js", "xregexp.min.js")


class SafeFormMixin:
    """The forms of a list and of a row take or refuse whatever is sent, and set no newer value back."""

    linked_lookups: tuple[str, ...] = ()
    """Those by which links of other pages filter the list, beside its own filters."""

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[ChangeList]:
        return OfferedFiltersOnly

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        """A form is compared with its row, and saved, under the row's lock: the row is read after it is locked."""
        if not object_id or request.method != "POST":
            return self.show_form(request, object_id, form_url, extra_context)
        rows: Any = self.model._base_manager.select_for_update(no_key=True)  # type: ignore[attr-defined]
        with transaction.atomic():
            if is_valid_key(rows.model._meta.pk, key := unquote(object_id)):
                rows.filter(pk=key).first()
            return self.show_form(request, object_id, form_url, extra_context)

    def show_form(self, *given: Any) -> HttpResponse:
        answer: HttpResponse = super().changeform_view(*given)  # type: ignore[misc]
        return answer

    def get_form(self, request: HttpRequest, obj: Any = None, *given: Any, **options: Any) -> Any:
        if self.is_edited(request, obj):
            options["form"] = make_fresh(options.get("form") or self.form)  # type: ignore[attr-defined]
        return super().get_form(request, obj, *given, **options)  # type: ignore[misc]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        first, *others = super().get_fieldsets(request, obj)  # type: ignore[misc]
        if not self.is_edited(request, obj) or MADE_FROM in flatten_fieldsets([first, *others]):
            return [first, *others]
        name, options = first
        return [(name, {**options, "fields": [*options["fields"], MADE_FROM]}), *others]

    def is_edited(self, request: HttpRequest, obj: Any) -> bool:
        return obj is not None and self.has_change_permission(request, obj)  # type: ignore[attr-defined]

    @property
    def media(self) -> Media:
        """Without the scripts that fill in slugs, which no form of ours has: they are a seventh of a page's bytes."""
        whole: Any = super().media  # type: ignore[misc]
        scripts = [script for script in whole._js if not str(script).endswith(OF_SLUGS)]
        return Media(css=whole._css, js=scripts)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Django looks for the chosen rows by whatever is sent as their keys."""
        key = queryset.model._meta.pk
        if not all(is_valid_key(key, each) for each in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            self.message_user(request, "Nothing was changed: there is no such row", messages.ERROR)  # type: ignore[attr-defined]
            return redirect(request.get_full_path())
        answer: HttpResponse | None = super().response_action(request, queryset)  # type: ignore[misc]
        return answer

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if isinstance(db_field, IntegerField):
            options["form_class"] = StrictIntegerField
        field = super().formfield_for_dbfield(db_field, request, **options)  # type: ignore[misc]
        if field and isinstance(db_field, CharField | TextField):
            field.validators = [*field.validators, validate_visible]
        return field

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name in self.get_autocomplete_fields(request):  # type: ignore[attr-defined]
            options["widget"] = AutocompleteWidget(db_field, self.admin_site)  # type: ignore[attr-defined]
        return super().formfield_for_foreignkey(db_field, request, **options)  # type: ignore[misc]


class ServiceAdmin(WordSearch, SafeFormMixin, ModelAdmin):  # type: ignore[misc]
    """A page of a table that may be large; `WordSearch` says what its search finds."""

    is_jumped_to = False
    """Whether Ctrl-K, and `/admin/find/`, also find its rows."""
    paginator = BoundedPaginator
    show_full_result_count = False
    list_per_page = 40
    list_filter_submit = True

    def get_sortable_by(self, request: HttpRequest) -> list[Any]:
        """The columns by which an index sorts: of a large table no page sorts every row."""
        by_index = find_sorted_fields(self.model)
        return [
            each
            for each in self.get_list_display(request)
            if str(getattr(each, "admin_order_field", each) or "").lstrip("-") in by_index
        ]

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return (*self.search_ids, *self.search_emails, *self.search_names, *self.search_fields)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        for word in search_term.split():
            queryset = self.find_rows(request, queryset, word)
        return queryset, False

    def describe_row(self, row: Any) -> str:
        """A row in a few words, for the results of a jump."""
        return str(row)

    def get_list_display(self, request: HttpRequest) -> Any:
        """A list says how long ago a time was; the page of a row says when."""
        return [present_in_list(self.model, each) for each in super().get_list_display(request)]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A new row has no values yet that only the database writes: its form does not show them."""
        fields = super().get_fields(request, obj)
        return fields if obj else [name for name in fields if name not in self.get_readonly_fields(request)]

    def redirect_to_list(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Leave the page of a row that does not exist."""
        answer: HttpResponse = self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return answer


class ReadOnlyMixin:
    """Rows can be read, searched and filtered, and never edited."""

    fields: Any = None

    @property
    def readonly_fields(self) -> Any:
        return self.fields or ()

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ReadOnlyMixin, ServiceAdmin):
    """A read-only page. Its acts, with the permission `act`, are for those who may change its rows."""

    def has_act_permission(self, request: HttpRequest, _: Any = None) -> bool:
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")


class ParentFormSet(PaginationInlineFormSet):  # type: ignore[misc]
    """The rows of an inline know their parent, so that a column which shows something of it asks nothing for it."""

    def get_queryset(self) -> Any:
        rows = super().get_queryset()
        for row in rows:
            setattr(row, self.fk.name, self.instance)
        return rows


class ReadOnlyInline(ReadOnlyMixin, TabularInline):  # type: ignore[misc]
    formset = ParentFormSet
    extra = 0
    can_delete = False
    hide_title = True
    show_change_link: ClassVar[bool] = False


for model in (User, Group):
    admin.site.unregister(model)


def is_administrator(request: HttpRequest) -> bool:
    return bool(request.user.is_active and request.user.is_superuser)


def has_more_rights(account: User | None, request: HttpRequest) -> bool:
    """Whether an account has, or has when it is active again, a right that the requesting account lacks."""
    if account is None or is_administrator(request):
        return False
    given = Permission.objects.filter(Q(user=account) | Q(group__user=account))
    names = {f"{app}.{name}" for app, name in given.values_list("content_type__app_label", "codename")}
    return account.is_superuser or not request.user.has_perms(names)


@admin.register(User)
class AccountAdmin(SafeFormMixin, UserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]
    """Django's page in unfold's style, on which staff get no right that they do not have.

    In Django's own, who may change accounts is an administrator with one tick, or with an administrator's new password.
    """

    compressed_fields = False  # the two boxes of permissions are too wide beside their labels
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    rights = ("is_staff", "is_superuser", "groups", "user_permissions")
    readonly_fields = ("last_login",)  # each login writes it

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        if is_administrator(request):
            return fields
        # By their name the trail and four eyes know a person: with another one they would be a second person.
        own = ("username",) if obj is not None and obj.pk == request.user.pk else ()
        return (*fields, *self.rights, *own)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_change_permission(request, obj) and not has_more_rights(obj, request)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return super().has_delete_permission(request, obj) and not has_more_rights(obj, request)


@admin.register(Group)
class RoleAdmin(SafeFormMixin, GroupAdmin, ModelAdmin):  # type: ignore[misc]
    """Django's page in unfold's style. Only an administrator gives a group rights: staff may be in it themselves."""

    compressed_fields = False

    def get_readonly_fields(self, request: HttpRequest, obj: Group | None = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if is_administrator(request) else (*fields, "permissions")


@admin.register(UserToken)
class UserTokenAdmin(ReadOnlyAdmin):
    """Staff see which tokens there are and end them; only the owner, who got it at `/api/token/`, has the token."""

    list_display = ("name", "user", "created", "expiry", "used_at")
    list_select_related = ("user",)
    search_ids = ("id",)
    search_fields = ("user__username__icontains",)
    search_help_text = "user or token id"
    ordering = ("-id",)
    fields = ("id", "name", "user", "created", "expiry", "used_at")

    def has_delete_permission(self, request: HttpRequest, obj: UserToken | None = None) -> bool:
        return bool(ModelAdmin.has_delete_permission(self, request, obj))


@admin.register(ChangeRecord)
class ChangeRecordAdmin(ReadOnlyAdmin):
    list_display = ("at", "kind", "key", "by", "fields_changed")
    list_filter = (text_filter("kind"), text_filter("by"))
    search_fields = ("key__exact",)
    search_help_text = "the whole id, such as a SKU"
    ordering = ("-id",)
    fields = ("at", "kind", "key", "by", json_column("what"))

    @admin.display(description="what")
    def fields_changed(self, row: ChangeRecord) -> str:
        """The values are on the row's own page."""
        return ", ".join(row.what)
