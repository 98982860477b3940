"""Broken variants of what every participant stands on: delivery, barrier, steps, outbox, relay, inbox, worker."""

from __future__ import annotations

from tests.mutants.mutant import Mutant

MESSAGING = "celery_config/messaging"

PARTICIPANTS = (
    Mutant(
        name="early-ack",
        breaks="a message is acknowledged before its work is done",
        rule="rule 6",
        file="celery_config/settings/celery.py",
        old='"task_acks_late": True,',
        new='"task_acks_late": False,',
        suite="messaging",
        tests=("test_acknowledgement.py::TestAcknowledgement",),
    ),
    Mutant(
        name="lost-worker-acks",
        breaks="a message whose worker died is taken for done",
        rule="rule 6",
        file="celery_config/settings/celery.py",
        old='"task_reject_on_worker_lost": True,',
        new='"task_reject_on_worker_lost": False,',
        suite="messaging",
        tests=("test_acknowledgement.py::TestAcknowledgement",),
    ),
    Mutant(
        name="no-barrier",
        breaks="every delivery of a command believes that it is the first",
        rule="rule 5",
        file="celery_config/messaging/barrier.py",
        old='made = set(many.insert_new(BarrierRow, in_order(rows), INSERTED, returning="key"))',
        new="""many.insert_new(BarrierRow, in_order(rows), INSERTED, returning="key")
    made = {row.key for row in rows}""",
        suite="messaging",
        tests=("test_steps.py::TestAction",),
    ),
    Mutant(
        name="unlocked-barrier",
        breaks="a barrier row is read without its lock before it is decided upon",
        rule="rule 5",
        file="celery_config/messaging/barrier.py",
        old="BarrierRow.objects.select_for_update().filter(key__in=keys)",
        new="BarrierRow.objects.filter(key__in=keys)",
        suite="messaging",
        tests=("test_hints.py::TestRaces", "test_barrier.py"),
    ),
    Mutant(
        name="barrier-alone",
        breaks="the barrier's row is committed before the work it stands for",
        rule="rule 5",
        file="celery_config/messaging/actions.py",
        old="""    with transaction.atomic():
        outcomes = work(handler, messages, rows, written)
        written.insert()
""",
        new="""    barrier.claim(list(rows.values()))
    with transaction.atomic():
        outcomes = work(handler, messages, rows, written)
        written.write()
""",
        suite="messaging",
        tests=("test_steps.py::TestAction",),
    ),
    Mutant(
        name="hash-ignored",
        breaks="another command under the same id is answered with the first one's reply",
        rule="rule 5",
        file=f"{MESSAGING}/decisions.py",
        old="if row.command_hash != command_hash:",
        new="if row.command_hash and not command_hash:",
        suite="messaging",
        tests=("test_steps.py::TestAction",),
    ),
    Mutant(
        name="no-savepoint",
        breaks="what a step did before it refused is kept",
        rule="rule 6",
        file="celery_config/participant.py",
        old="                with transaction.atomic():\n                    outcomes.append(function(command))\n",
        new="                outcomes.append(function(command))\n",
        suite="messaging",
        tests=("test_steps.py::TestAction",),
    ),
    Mutant(
        name="refusal-not-stored",
        breaks="a refusal is raised before it is committed, so that a repeat may say yes",
        rule="rule 6",
        file="celery_config/messaging/actions.py",
        old="            written.refused(handler, step, rows[step.key], reply)\n",
        new="            raise reply\n",
        suite="messaging",
        tests=("test_steps.py::TestAction",),
    ),
    Mutant(
        name="no-tombstone",
        breaks="an undo that overtakes its action leaves nothing behind, and the action runs afterwards",
        rule="rule 7",
        file="celery_config/messaging/undos.py",
        old="        written.write()\n    return begun\n",
        new=(
            "        written.write()\n"
            "        overtaken = [step.key for step, _, decision in begun if decision is OnUndo.TOMBSTONE]\n"
            "        BarrierRow.objects.filter(key__in=overtaken).delete()\n"
            "    return begun\n"
        ),
        suite="messaging",
        tests=("test_steps.py::TestUndo",),
    ),
    Mutant(
        name="undo-twice",
        breaks="a repeated undo undoes again",
        rule="rule 7",
        file=f"{MESSAGING}/decisions.py",
        old="    if row.undo is Undo.DONE:\n        return OnUndo.REPEAT\n",
        new="    if row.undo is Undo.DONE:\n        return OnUndo.UNDO\n",
        suite="messaging",
        tests=("test_outside.py::TestUndo",),
    ),
    Mutant(
        name="undo-before-doubt",
        breaks="an undo takes a call of unknown outcome for one that was never made",
        rule="rule 8",
        file="celery_config/messaging/undos.py",
        old="        if decision is OnUndo.SETTLE_FIRST:",
        new="        if decision is None:",
        suite="messaging",
        tests=("test_outside.py::TestUndo",),
    ),
    Mutant(
        name="call-in-transaction",
        breaks="the provider is called before the intent is committed",
        rule="rule 8",
        file="celery_config/messaging/actions.py",
        old="        there = barrier.claim(list(rows.values()))\n    outcomes:",
        new=(
            "        there = barrier.claim(list(rows.values()))\n"
            "        for step in messages:\n"
            "            handler.outside.call(step.id, rows[step.key].request)\n"
            "    outcomes:"
        ),
        suite="messaging",
        tests=("test_outside.py::TestAction",),
    ),
    Mutant(
        name="new-provider-key",
        breaks="each try of a call takes an idempotency key of its own",
        rule="rule 8",
        file="celery_config/messaging/actions.py",
        old="call(Asked(handler, step, request), step.id, settle_actions)",
        new='call(Asked(handler, step, request), __import__("uuid").uuid4(), settle_actions)',
        suite="messaging",
        tests=("test_outside.py::TestAction",),
    ),
    Mutant(
        name="new-request",
        breaks="a repeated call asks anew instead of asking what was stored",
        rule="rule 8",
        file="celery_config/messaging/actions.py",
        old="request = (row or rows[step.key]).request",
        new="request = rows[step.key].request",
        suite="messaging",
        tests=("test_outside.py::TestAction",),
    ),
    Mutant(
        name="late-result",
        breaks="an answer that comes after the undo is written over it",
        rule="rule 8",
        file=f"{MESSAGING}/decisions.py",
        old="if row.action is Action.INTENT and row.undo is not Undo.DONE:",
        new="if row.action is Action.INTENT or row.undo is Undo.DONE:",
        suite="messaging",
        tests=("test_outside.py::TestAction",),
    ),
    Mutant(
        name="human-overwrites",
        breaks="a human's word is written over an outcome that is known",
        rule="rule 25",
        file=f"{MESSAGING}/by_hand.py",
        old="if handler.outside is None or row.action != Action.INTENT or row.undo != Undo.NONE:",
        new="if handler.outside is None:",
        suite="messaging",
        tests=("test_by_hand.py",),
    ),
    Mutant(
        name="fence-leaves-nothing",
        breaks="a fence of a pivot that never ran does not keep it from running later",
        rule="rule 13",
        file="celery_config/messaging/fences.py",
        old="        begun = claimed(messages, rows, on_fence)\n",
        new=(
            "        there = barrier.lock(list(rows))\n"
            "        found = [(step, there.get(step.key)) for step in messages]\n"
            "        decided = [(s, row, on_fence(barrier.state(row) if row else None)) for s, row in found]\n"
            "        begun = [(s, row or rows[s.key], decision) for s, row, decision in decided]\n"
        ),
        suite="messaging",
        tests=("test_steps.py::TestFence",),
    ),
    Mutant(
        name="fence-keeps-silent",
        breaks="a fence that finds the pivot done tells nobody",
        rule="rule 13",
        file="celery_config/messaging/fences.py",
        old="        messages[0].report(known)\n",
        new="",
        suite="messaging",
        tests=("test_steps.py::TestFence",),
    ),
    Mutant(
        name="fence-lets-pass",
        breaks="the stop chain goes on to the undos although the pivot ran",
        rule="rule 13",
        file="celery_config/messaging/fences.py",
        old='return Ignore(f"{row.step} of saga {row.saga} ran") if ran else refusal_of(row)',
        new="return refusal_of(row)",
        suite="messaging",
        tests=("test_retries.py::TestFence",),
    ),
    Mutant(
        name="outbox-after-commit",
        breaks="the outbox row is written after the transaction that makes it true",
        rule="rule 1",
        file=f"{MESSAGING}/outbox.py",
        old="""    return [
        replace(change, then=wake.call) for change in rows.inserted(OutboxMessage, list(messages), INSERTED)
    ]
""",
        new="""    from django.db import transaction
    wanted = list(messages)
    transaction.on_commit(lambda: rows.insert(OutboxMessage, wanted, INSERTED))
    return []
""",
        suite="messaging",
        tests=("test_outbox.py::TestTransaction",),
    ),
    Mutant(
        name="outbox-anywhere",
        breaks="a promise may be written outside the transaction that makes it true",
        rule="rule 1",
        file=f"{MESSAGING}/outbox.py",
        old="if not connection.in_atomic_block:",
        new="if connection.needs_rollback:",
        suite="messaging",
        tests=("test_outbox.py::TestTransaction",),
    ),
    Mutant(
        name="relay-forgets-first",
        breaks="the relay commits that a row is gone before it publishes it",
        rule="rule 21",
        file=f"{MESSAGING}/publishing.py",
        old="""        taken = publisher.publish([message for message, _ in messages])
        reach(Point.RELAYED)
""",
        new="""        OutboxMessage.objects.filter(id__in=[row.id for row in rows]).delete()
    taken = publisher.publish([message for message, _ in messages])
    with transaction.atomic():
""",
        suite="messaging",
        tests=("test_relay.py::TestRows",),
    ),
    Mutant(
        name="relays-share-rows",
        breaks="two relays take the same rows, without a lock",
        rule="rule 21",
        file=f"{MESSAGING}/publishing.py",
        old="found.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)",
        new="found",
        suite="messaging",
        tests=("test_relay.py::TestRows",),
    ),
    Mutant(
        name="refused-is-sent",
        breaks="a message that the broker did not take counts as sent",
        rule="rule 21",
        file=f"{MESSAGING}/publishing.py",
        old="        sent = [row for i, (_, some) in enumerate(messages) if i in taken for row in some]\n",
        new="        sent = rows\n",
        suite="messaging",
        tests=("test_relay.py::TestRows",),
    ),
    Mutant(
        name="one-queue-holds-up-all",
        breaks="when one queue confirms nothing, the messages for all others wait with its own",
        rule="rule 21",
        file=f"{MESSAGING}/publisher.py",
        old="                break\n",
        new='                raise TimeoutError("not all are confirmed")\n',
        suite="messaging",
        tests=("test_stuck_queues.py::TestPublisher",),
    ),
    Mutant(
        name="stuck-queue-forgotten",
        breaks="every batch waits again for a queue that is known to confirm nothing",
        rule="rule 21",
        file=f"{MESSAGING}/publisher.py",
        old="            self.stuck.add(where)\n",
        new="            pass\n",
        suite="messaging",
        tests=("test_stuck_queues.py::TestPublisher",),
    ),
    Mutant(
        name="events-forgotten",
        breaks="an event is deleted when it is published, so that nobody can catch up",
        rule="rule 20",
        file=f"{MESSAGING}/publishing.py",
        old="""            *many.deleted(OutboxMessage, [r.id for r in sent if r.kind == Kind.TASK]),
            *many.updated(OutboxMessage, published, ["published_at"]),
""",
        new="""            *many.deleted(OutboxMessage, [r.id for r in sent]),
""",
        suite="messaging",
        tests=("test_relay.py::TestRows",),
    ),
    Mutant(
        name="returned-is-sent",
        breaks="a command that no queue took, though the broker confirmed it, counts as sent",
        rule="rule 21",
        file=f"{MESSAGING}/publisher.py",
        old='returned.get(each, "" if not self.confirms or settled[tag] else "not confirmed")',
        new='"" if not self.confirms or settled[tag] else "not confirmed"',
        suite="messaging",
        tests=("test_relay.py::TestPublisher::test_an_unroutable_command_is_refused_and_the_others_go",),
    ),
    Mutant(
        name="not-mandatory",
        breaks="commands are published without asking to hear of those that no queue takes",
        rule="rule 21",
        file="celery_config/topology.py",
        old='"mandatory": True',
        new='"mandatory": False',
        suite="unit",
        tests=("test_chains.py", "test_topology.py"),
    ),
    Mutant(
        name="retry-drops-chain",
        breaks="a step that is tried again has forgotten the rest of its chain",
        rule="rule 10",
        file=f"{MESSAGING}/tasks.py",
        old='"chain": request.chain,',
        new='"chain": None,',
        suite="messaging",
        tests=("test_retries.py",),
    ),
    Mutant(
        name="lost-without-database",
        breaks="a message that fails while the database is away goes to the dead letters",
        rule="rule 10",
        file="celery_config/messaging/tasks.py",
        old="return Reject(failure, requeue=True)",
        new="return Reject(failure, requeue=False)",
        suite="messaging",
        tests=("test_retries.py",),
    ),
    Mutant(
        name="gate-stays-open",
        breaks="a worker whose database is away goes on taking messages",
        rule="rule 10",
        file="celery_config/worker_steps.py",
        old="if gate.database_away.is_set() and not gate.nothing_is_taken.is_set():",
        new="if gate.nothing_is_taken.is_set():",
        suite="messaging",
        tests=("test_gate.py",),
    ),
    Mutant(
        name="inbox-forgets",
        breaks="an event that comes twice is handled twice",
        rule="rule 21",
        file="celery_config/messaging/events.py",
        old="return [each for id, each in once.items() if id in made]",
        new="return list(received)",
        suite="messaging",
        tests=("test_inbox.py",),
    ),
    Mutant(
        name="inbox-alone",
        breaks="an event is remembered although its handler failed",
        rule="rule 21",
        file="celery_config/messaging/events.py",
        old="    with transaction.atomic():\n        for subscription, received in wanted:",
        new="    if wanted:\n        for subscription, received in wanted:",
        suite="messaging",
        tests=("test_inbox.py",),
    ),
    Mutant(
        name="garbage-to-celery",
        breaks="a message that nobody can run is left to Celery, which acknowledges it away",
        rule="rule 19",
        file="celery_config/worker.py",
        old="            if fault := fault_of(message, self.strategies):",
        new="            if False and (fault := fault_of(message, self.strategies)):",
        suite="messaging",
        tests=("test_acknowledgement.py::TestConsumer",),
    ),
    Mutant(
        name="killer-in-company",
        breaks="a message that came back often opens the worker's window, so that a killer takes its neighbours along",
        rule="rule 19",
        file="celery_config/worker.py",
        old="            if not is_suspicious(message):\n",
        new="            if message is not None:\n",
        suite="messaging",
        tests=("test_acknowledgement.py::TestConsumer",),
    ),
)
