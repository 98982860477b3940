"""The HTTP API of user tokens: get one for a password, see one's own, end them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.signals import user_logged_in
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.parsers import FormParser
from rest_framework.request import Request
from rest_framework.response import Response

from celery_config.web.fields import StrictCharField
from celery_config.web.inputs import KnownFieldsOnly
from celery_config.web.models import UserToken
from celery_config.web.parsers import NestingSafeJsonParser
from celery_config.web.permissions import ANY_USER, Needs
from celery_config.web.refusals import Refusal, Refusals
from celery_config.web.throttling import SharedRateThrottle
from celery_config.web.tokens import issue_token


class TokenInput(KnownFieldsOnly, AuthTokenSerializer):
    """A user's name and password, and a name for the token."""

    username = StrictCharField(write_only=True)
    password = StrictCharField(write_only=True, trim_whitespace=False)
    name = StrictCharField(max_length=100, required=False, default="", allow_blank=True, write_only=True)

    def validate(self, attrs: Any) -> Any:
        """A right password is a login: the failures before it are forgotten."""
        valid = super().validate(attrs)
        user = valid["user"]
        user_logged_in.send(sender=type(user), request=self.context["request"], user=user)
        return valid


class TokenIssued(serializers.Serializer[Any]):
    token = serializers.CharField(help_text="shown this once")
    id = serializers.UUIDField()
    name = serializers.CharField()
    expiry = serializers.DateTimeField()


class TokenApi(generics.GenericAPIView[Any]):
    """A user's tokens. A login is throttled against guessing."""

    serializer_class = TokenInput
    needs: Needs = {"DELETE": (ANY_USER,)}
    parser_classes = (NestingSafeJsonParser, FormParser)
    throttle_classes = (SharedRateThrottle,)
    throttle_scope = "token"
    refusals: Refusals = {"POST": [Refusal(status.HTTP_429_TOO_MANY_REQUESTS, "login_locked")]}

    def get_authenticators(self) -> Any:
        """A login needs no other."""
        return [] if self.request and self.request.method == "POST" else super().get_authenticators()

    def get_permissions(self) -> Any:
        return [] if self.request.method == "POST" else super().get_permissions()

    @extend_schema(responses=TokenIssued, auth=[])
    def post(self, request: Request) -> Response:
        """A new token for a name and a password, as JSON or a form."""
        # Axes marks the request of Django as locked, which its middleware sees.
        given = TokenInput(data=request.data, context={"request": request._request})
        given.is_valid(raise_exception=True)
        row, token = issue_token(given.validated_data["user"], given.validated_data["name"])
        return Response(
            TokenIssued({"token": token, "id": row.pk, "name": row.name, "expiry": row.expiry}).data
        )

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """End the token of this request."""
        if not isinstance(request.auth, UserToken):
            raise serializers.ValidationError({"Authorization": "The request has no token that could end."})
        UserToken.objects.filter(pk=request.auth.pk).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class TokenOutput(serializers.ModelSerializer[UserToken]):
    current = serializers.SerializerMethodField(help_text="whether this request has it")

    class Meta:
        model = UserToken
        fields = ("id", "name", "created", "expiry", "used_at", "current")

    def get_current(self, token: UserToken) -> bool:
        auth = self.context["request"].auth
        return isinstance(auth, UserToken) and auth.pk == token.pk


class OwnTokens(generics.ListAPIView[UserToken]):
    """Your own tokens, newest first. None is shown: only its owner has it."""

    needs: Needs = {"GET": (ANY_USER,), "DELETE": (ANY_USER,)}
    serializer_class = TokenOutput
    queryset = UserToken.objects.all()
    ordering = "-id"

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(user=self.request.user.pk)


class OwnToken(OwnTokens):
    http_method_names = ["delete", "options"]

    @extend_schema(responses={204: None})
    def delete(self, request: Request, pk: Any) -> Response:
        """End one of your tokens."""
        self.get_object().delete()
        return Response(status=status.HTTP_204_NO_CONTENT)
