"""The errors that cross the borders of the patterns. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar, cast

E = TypeVar("E", bound=Exception)
MAX_TEXT = 500
# Longer than any reason of our own.
MAX_REASON = 2000
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def clean_text(value: object, fallback: str = "", *, limit: int = MAX_TEXT) -> str:
    """A text from outside that every database stores and every page shows: printable, on one line, at most `limit`.

    Args:
        fallback: stands for what is no text, or has nothing printable.
    """
    if not isinstance(value, str):
        return fallback
    # NUL, halves of surrogate pairs, marks that change the direction of writing and line ends are not printable.
    printable = "".join(each if each.isprintable() else " " for each in value[: 2 * limit])
    text = " ".join(printable.split())
    return (text if len(text) <= limit else text[: limit - 1] + "…") or fallback


def clean_code(value: object, fallback: str) -> str:
    """A code from outside; `fallback` stands for what cannot be one."""
    return value if isinstance(value, str) and CODE.fullmatch(value) else fallback


SHORTEST_PRIVATE = 4
LONGEST_COMPARED = 24
CUT = "what the other side says carries private data of the request, so it is left out"


def cut_private(error: E, private: Iterable[str]) -> E:
    """The error without any text that carries private data of its request, for logs, reasons and task events.

    Its own text becomes its code, and what caused it is dropped; so it is with an error that cannot be shown.

    Args:
        private: the data, such as a card token; what is shorter than four letters says nothing of a person.
    """
    # The other side may repeat only the beginning of a long one.
    wanted = [value[:LONGEST_COMPARED].casefold() for value in private if len(value) >= SHORTEST_PRIVATE]

    def carries(one: BaseException) -> bool:
        if not can_be_shown(one):
            return True  # it may carry anything
        text = f"{one!r} {one} {getattr(one, '__notes__', '')}".casefold()
        return any(value in text for value in wanted)

    if not any(map(carries, list_causes(error))):
        return error
    kept: E = error
    if carries(error):
        if isinstance(error, CodedError):
            kept = cast(E, type(error)(error.code, error.code))
        else:
            told = f"{type(error).__name__}: {CUT}"
            # Its own `__init__` may want more than a text.
            kept = type(error).__new__(type(error), told)
            if not can_be_shown(kept):
                kept = cast(E, OrderSagaError(told))
        kept = kept.with_traceback(error.__traceback__)
    kept.__cause__, kept.__context__ = None, None
    return kept


def can_be_shown(error: BaseException) -> bool:
    """Whether an error has a text. Stripe's has what the provider sent as one, and fails when that is a JSON object."""
    try:
        f"{error!r} {error}"
    except Exception:
        return False
    return True


def show_error(error: BaseException, show: Callable[[BaseException], str] = repr) -> str:
    """Return the text of any error, also of another library's that cannot be shown: then the name of its class."""
    return show(error) if can_be_shown(error) else type(error).__name__


def list_causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that stands behind it."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            left += [one.__cause__, one.__context__]


class OrderSagaError(Exception):
    """The base class."""


class DefinitionError(OrderSagaError):
    """A saga, contract or subscription breaks a rule, found at import or by `check`; the text names rule and remedy."""


class CodedError(OrderSagaError):
    """The base of errors with a code. Both parts are cleaned, because they may come from outside.

    Args:
        code: stable, for programs: `card_declined`.
        reason: for people.
    """

    unknown_code = "error"

    def __init__(self, code: str, reason: str) -> None:
        code = clean_code(code, self.unknown_code)
        reason = clean_text(reason, code, limit=MAX_REASON)
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.code}: {self.reason}"


class Refused(CodedError):
    """A participant's business "no": final, stored, announced; it stops the saga. Nothing was done."""

    unknown_code = "declined"


class OutcomeUnknown(OrderSagaError):
    """An effect outside may have happened or not; repeating the call with the same key settles it."""


class ServiceUnavailable(OutcomeUnknown):
    """The called service is away and did nothing; the message waits as in that service's queue, and this is no try.

    Args:
        wait: seconds after which another call makes sense; 0: it is not known.
    """

    # Of the class, too: an error that is cut to its name is made without its arguments.
    wait: float = 0.0

    def __init__(self, *texts: object, wait: float = 0.0) -> None:
        super().__init__(*texts)
        self.wait = wait


class CalledTooOften(ServiceUnavailable):
    """The other side takes no more calls at this moment (429): it did nothing."""


class CallFailed(CodedError):
    """The other side did not accept the call as such: our settings or our code are wrong.

    This call did nothing, an earlier one with the same key may have, and no repeat helps until a human mends it.
    """


class StateContradicted(OrderSagaError):
    """A command contradicts what this service or its provider holds; it did nothing, and a human compares the two."""

    code = "contradicted"


class CommandConflict(OrderSagaError):
    """Two different commands have the same id; neither is trusted, and a human must look."""


class Forged(OrderSagaError):
    """A message is not from the service that alone may send it; nothing was done."""


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
