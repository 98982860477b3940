"""Every error of the engine. Pure.

OrderSagaError
├── DefinitionError        a saga, contract or subscription is written wrongly; found at import or by `check`
├── Refused                a participant's business "no": final, stored, announced; stops the saga
├── Unknown                nobody knows whether an effect outside happened; the same call is repeated
│   └── Away               who was called is away and did nothing; this was no try
├── CallFailed             the other side did not accept a call: our settings or our code are wrong
├── CommandConflict        one command id with two different commands: a human must look
├── StepOutlived           the step was undone or fenced before this message came; it never will run
├── ChainTooLarge          an order's messages would exceed the limit
├── SagaPaused             an operator holds up new sagas of this kind
├── OperatorRefused        what an operator asked for would break a rule
└── WebhookRefused         an event from outside that is not believed
    ├── SignatureInvalid   not signed with the secret
    ├── SignatureStale     signed too long ago
    └── EventUnreadable    signed, and still no event
"""

from __future__ import annotations


class OrderSagaError(Exception):
    """Base of all."""


class DefinitionError(OrderSagaError):
    """The definition breaks a rule; the text says which and how to mend it."""


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
    """The outcome of a call outside is unknown; it is settled by repeating it with the same key."""


class ServiceUnavailable(OutcomeUnknown):
    """Whoever was to be called is not there at present; the message waits for them as it would in their queue."""


class CallFailed(OrderSagaError):
    """The other side did not accept the call as such; it did nothing, and no repeat helps until a human mends it.

    Args:
        code: stable, for programs: `idempotency_conflict`.
        reason: for people.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"


class CommandConflict(OrderSagaError):
    """A command came twice under one id and differs; neither is trusted."""


class StepSuperseded(OrderSagaError):
    """The action came after its compensation or fence."""


class ChainTooLarge(OrderSagaError):
    """The chain of an order is over the size limit; send fewer lines."""


class SagaPaused(OrderSagaError):
    """No new saga of this kind starts at present; the text says who holds it up and why."""


class OperatorRefused(OrderSagaError):
    """The verb does not fit where the saga stands; nothing was changed."""


class WebhookRefused(OrderSagaError):
    """An event from outside changes nothing, since it cannot be believed or read."""


class SignatureInvalid(WebhookRefused):
    """Whoever sent it does not know the secret, or something on the way changed the body."""


class SignatureStale(WebhookRefused):
    """The signature is right and old: somebody may be repeating what was overheard."""


class EventUnreadable(WebhookRefused):
    """The sender is right and the body is not; its format may have changed."""
