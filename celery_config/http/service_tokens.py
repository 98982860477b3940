"""Service tokens: each caller has its own for each service that it calls, so that the called knows the caller."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from celery_config.common.service_calls import SHARED, Pair, name_token
from celery_config.errors import CallFailed


class TokenMode(StrEnum):
    """Which tokens are sent and accepted. An upgrade goes from `shared` through `accept` to `require`."""

    SHARED = "shared"
    """The shared token is sent; both kinds are accepted."""
    ACCEPT = "accept"
    """The pair's token is sent; both kinds are accepted."""
    REQUIRE = "require"
    """The pair's token is sent, and no other is accepted."""


@dataclass(frozen=True)
class ServiceTokens:
    """The tokens that one service holds.

    Args:
        service: whose they are.
        tokens: by pair. The first is sent, all are accepted, so that a token can be changed without a stop.
        shared: the tokens that all callers of a service had in common, by that service.
    """

    service: str
    tokens: Mapping[Pair, tuple[bytes, ...]]
    shared: Mapping[str, bytes] = field(default_factory=dict)
    mode: TokenMode = TokenMode.REQUIRE

    def find_caller(self, token: bytes) -> str | None:
        """The caller that has this token for us; None when it is the token of none."""
        callers = {caller: known for (caller, callee), known in self.tokens.items() if callee == self.service}
        if self.mode is not TokenMode.REQUIRE and self.service in self.shared:
            callers[SHARED] = (self.shared[self.service],)
        # Each is compared: the time tells nothing about the tokens.
        fits = {
            caller: [hmac.compare_digest(token, each) for each in known] for caller, known in callers.items()
        }
        return next((caller for caller, found in fits.items() if True in found), None)

    def find_token(self, callee: str, caller: str) -> str:
        """The token with which `caller` calls.

        Raises:
            CallFailed: this process has none; the text names the variable.
        """
        if self.mode is TokenMode.SHARED and callee in self.shared:
            return self.shared[callee].decode()
        known = self.tokens.get((caller, callee))
        if not known:
            raise CallFailed(
                "no_service_token",
                f"{caller} has no token to call {callee}: set {name_token((caller, callee))} in the environment",
            )
        return known[0].decode()
