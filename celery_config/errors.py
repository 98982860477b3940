"""Error tree: every error of this code that another module catches. Pure."""

from __future__ import annotations


class OrderSagaError(Exception):
    """The base class."""


class DefinitionError(OrderSagaError):
    """The definition breaks a rule; the text names the rule and the correction."""


class Refused(OrderSagaError):
    """A business refusal.

    Args:
        code: stable, for programs: `card_declined`.
        reason: for people.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"


class OutcomeUnknown(OrderSagaError):
    """The outcome of a call to the outside is unknown; repeating the call with the same key settles it."""


class ServiceUnavailable(OutcomeUnknown):
    """The service is away; the message waits for it as it would in the service's queue."""


class CommandConflict(OrderSagaError):
    """Two different commands have the same id; neither is trusted."""


class StepSuperseded(OrderSagaError):
    """The action came after its compensation or fence."""


class ChainTooLarge(OrderSagaError):
    """The messages of an order are larger than the limit; send fewer lines."""


class SagaPaused(OrderSagaError):
    """No new saga of this kind starts; the text says who paused it, and why."""


class OperatorRefused(OrderSagaError):
    """The verb does not fit the state of the saga; nothing was changed."""


class WebhookRefused(OrderSagaError):
    """An event from outside changes nothing, since its sender is not proven or it cannot be read."""


class SignatureInvalid(WebhookRefused):
    """The sender does not know the secret, or the body was changed on its way."""


class SignatureStale(WebhookRefused):
    """The signature is right but old: an attacker may have recorded the message and sent it again."""


class EventUnreadable(WebhookRefused):
    """The sender is proven, but the body is wrong; its format may have changed."""
