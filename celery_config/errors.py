"""The errors that cross the borders of the patterns. Pure."""

from __future__ import annotations


class OrderSagaError(Exception):
    """The base class."""


class DefinitionError(OrderSagaError):
    """A saga, contract or subscription breaks a rule, found at import or by `check`; the text names rule and remedy."""


class CodedError(OrderSagaError):
    """The base of errors with a code.

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


class Refused(CodedError):
    """A participant's business "no": final, stored, announced; it stops the saga."""


class OutcomeUnknown(OrderSagaError):
    """An effect outside may have happened or not; repeating the call with the same key settles it."""


class ServiceUnavailable(OutcomeUnknown):
    """The called service is away and did nothing; the message waits as in that service's queue, and this is no try."""


class CallFailed(CodedError):
    """The other side did not accept the call as such: our settings or our code are wrong.

    It did nothing, and no repeat helps until a human mends it.
    """


class StateContradicted(OrderSagaError):
    """A command contradicts what this service or its provider holds; it did nothing, and a human compares the two."""

    code = "contradicted"


class CommandConflict(OrderSagaError):
    """Two different commands have the same id; neither is trusted, and a human must look."""


class StepSuperseded(OrderSagaError):
    """The step was undone or fenced before this message came; it never will run."""


class HandlerExited(OrderSagaError):
    """A handler raised `SystemExit` or another error that is no `Exception`; it counts as any unexpected error."""


class StepLost(OrderSagaError):
    """A step was done, or one that it builds on, and the service's database knows nothing of it: it was set back.

    Nothing is done, and nothing says that it never ran; the flow is parked.
    """


class ChainTooLarge(OrderSagaError):
    """The messages of an order are larger than the limit; send fewer lines."""


class SagaPaused(OrderSagaError):
    """An operator holds up new sagas of this kind; the text says since when, and why."""


class Recovering(SagaPaused):
    """The service starts nothing for clients until its restored database is recovered."""


class OperatorRefused(OrderSagaError):
    """An operator's request would break a rule, or a reason or name is missing; nothing was changed."""


class WebhookRefused(OrderSagaError):
    """An event from outside changes nothing, since its sender is not proven or it cannot be read."""


class SignatureInvalid(WebhookRefused):
    """The sender does not know the secret, or the body was changed on its way."""


class SignatureStale(WebhookRefused):
    """The signature is right but old: an attacker may have recorded the message and sent it again."""


class EventUnreadable(WebhookRefused):
    """The sender is proven, but the body is wrong; its format may have changed."""
