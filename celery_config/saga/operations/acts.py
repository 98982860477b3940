"""Acts in words: the name of each, what it is on, and what it changes and sends.

The dialog before an act, the message after it and the trail have their words from here. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from celery_config.saga.causes import phrase_command
from celery_config.saga.dsl import Saga, Step
from celery_config.saga.operations.wording import describe_status
from celery_config.saga.states import Status

TITLES: Mapping[str, str] = {
    "retry": "Bring to an end",
    "compensate": "Cancel and undo",
    "resume": "Finish",
    "take over": "Take over",
    "settle by hand": "Settle by hand",
    "pause": "Pause",
    "unpause": "End pause",
    "rebuild": "Drive its flow",
    "send again": "Send again",
    "dismiss": "Dismiss",
    "show a letter": "Show personal data",
    "hold": "Hold",
    "let go": "Let go",
    "look now": "Look at it now",
    "deadline": "Change the deadline",
    # A page that renews itself has a button *Pause*, too.
    "start a batch": "Start",
    "pause a batch": "Pause the batch",
    "resume a batch": "Go on",
    "stop a batch": "Stop the batch",
    "decline": "Decline",
}
"""The names of the acts on the pages, by the verbs that the trail keeps."""
ASK = "ask: "
SENT = "; sent: "


def name_act(verb: str) -> str:
    """Return the name of an act as the pages have it."""
    if verb.startswith(ASK):
        return f"Ask for: {name_act(verb.removeprefix(ASK))}"
    return TITLES.get(verb, verb)


def ask_for(verb: str) -> str:
    """Return the verb in the trail of who asks another person to approve an act."""
    return f"{ASK}{verb}"


def title_act(verb: str, on: object) -> str:
    """Return an act with what it is on, as the heading of its dialog and the beginning of its message."""
    return f"{name_act(verb)}: {on}"


def describe_change(before: str, after: str) -> str:
    """Return what becomes of a status: "waits for a decision → being cancelled"; one word if it stays."""
    return (
        describe_status(after) if before == after else f"{describe_status(before)} → {describe_status(after)}"
    )


def describe_links(links: Iterable[str]) -> str:
    """Return what is sent, one after the other, in words.

    Args:
        links: each an operation and a step, as `describe_send` of a flow gives them.
    """
    return ", ".join(map(describe_link, links))


def foretell(before: str, after: str, links: Sequence[str]) -> str:
    """Return what a verb would change and send, in the words in which `describe_effect` says it afterwards."""
    sent = f"; to be sent: {describe_links(links)}" if links else ""
    return f"{describe_change(before, after)}{sent}"


def write_effect(before: str, after: str, links: Iterable[str]) -> str:
    """Return what a verb changes and sends as the trail keeps it: "parked to stopping; sent: fence x, undo y"."""
    return f"{before} to {after}{SENT}{', '.join(links) or 'nothing'}"


def describe_effect(effect: str) -> str:
    """Return what an act did, as the trail keeps it, for people; see `write_effect`."""
    change, separator, sent = effect.partition(SENT)
    before, _, after = change.partition(" to ")
    if not separator or not {before, after} <= {*Status}:
        return effect
    return f"{describe_change(before, after)}{SENT}{describe_links(sent.split(', '))}"


def describe_target(what: str) -> str:
    """Return what an act was on, as the trail keeps it: "one-step (undo)" -> what the undo of it does."""
    name, _, operation = what.partition(" (")
    if operation:
        return phrase_step(name, undo=operation == "undo)")
    return phrase_step(name) if find_step(name) else f"“{name.replace('-', ' ')}”" if is_saga(name) else what


def describe_link(link: str) -> str:
    operation, _, name = link.partition(" ")
    match operation:
        case "do" | "undo" if name:
            return phrase_step(name, undo=operation == "undo")
        case "fence" if name:
            step = find_step(name)
            who = step.command.service if step else "its service"
            return f"find out whether {who} did {phrase_step(name)}, and stop it if not"
        case "announce" if name:
            return name
        case "complete":
            return "tell the order service that all is done"
        case "compensated":
            return "tell the order service that all is undone"
    return link


def find_step(name: str) -> Step | None:
    """Return the step with this name, or of this command, in the first definition that has it."""
    steps = (step for saga in Saga.registry.values() for step in saga.steps)
    return next((step for step in steps if name in (step.name, step.command.wire_name())), None)


def is_saga(name: str) -> bool:
    return any(name == known for known, _ in Saga.registry)


def phrase_step(name: str, *, undo: bool = False) -> str:
    """Return what a step, or its undo, does: "authorize the payment"; of an unknown one its name in words."""
    step = find_step(name)
    if step is None:
        return f"{'undo ' if undo else ''}“{name.replace('-', ' ')}”"
    return phrase_command(step.undo if undo and step.undo else step.command)


def name_step(name: str) -> str:
    """Return what a step does; of an unknown one its name."""
    return phrase_step(name) if find_step(name) else name
