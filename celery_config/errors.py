"""The errors that cross the borders of the patterns. Pure.

OrderSagaError
├── DefinitionError         a saga, contract or subscription breaks a rule; found at import or by `check`
├── CodedError              the base of errors with a code and a reason
│   ├── Refused             a participant's business "no": final, stored, announced; stops the saga
│   └── CallFailed          the other side did not accept a call: our settings or our code are wrong
├── OutcomeUnknown          an effect outside may have happened or not; the same call is repeated
│   └── ServiceUnavailable  the called service is away and did nothing; this does not count as a try
├── CommandConflict         two different commands have one id: a human must look
├── StepSuperseded          the step was undone or fenced before this message came; it never will run
├── StepLost                what was done before is not in the database: it was set back; a human must look
├── ChainTooLarge           an order's messages exceed the limit
├── SagaPaused              an operator holds up new sagas of this kind
│   └── Recovering          the service's database was restored, and `recover` is not done
├── OperatorRefused         an operator's request would break a rule
└── WebhookRefused          an event from outside is not believed
    ├── SignatureInvalid    not signed with the secret
    ├── SignatureStale      signed too long ago
    └── EventUnreadable     signed, and not an event
"""

from __future__ import annotations


class OrderSagaError(Exception):
    """The base class."""


class DefinitionError(OrderSagaError):
    """The definition breaks a rule; the text names the rule and the correction."""


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
    """A business refusal."""


class OutcomeUnknown(OrderSagaError):
    """The outcome of a call to the outside is unknown; repeating the call with the same key settles it."""


class ServiceUnavailable(OutcomeUnknown):
    """The service is away; the message waits for it as it would in the service's queue."""


class CallFailed(CodedError):
    """The other side did not accept the call as such; it did nothing, and no repeat helps until a human mends it."""


class CommandConflict(OrderSagaError):
    """Two different commands have the same id; neither is trusted."""


class StepSuperseded(OrderSagaError):
    """The action came after its compensation or fence."""


class StepLost(OrderSagaError):
    """A step was done, or one that it builds on, and the service's database knows nothing of it: it was set back.

    Nothing is done, and nothing says that it never ran; the flow is parked.
    """


class ChainTooLarge(OrderSagaError):
    """The messages of an order are larger than the limit; send fewer lines."""


class SagaPaused(OrderSagaError):
    """No new saga of this kind starts; the text says since when, and why."""


class Recovering(SagaPaused):
    """The service starts nothing for clients until its restored database is recovered."""


class OperatorRefused(OrderSagaError):
    """The verb does not fit the state, or a reason or name is missing; nothing was changed."""


class WebhookRefused(OrderSagaError):
    """An event from outside changes nothing, since its sender is not proven or it cannot be read."""


class SignatureInvalid(WebhookRefused):
    """The sender does not know the secret, or the body was changed on its way."""


class SignatureStale(WebhookRefused):
    """The signature is right but old: an attacker may have recorded the message and sent it again."""


class EventUnreadable(WebhookRefused):
    """The sender is proven, but the body is wrong; its format may have changed."""
