"""The settings of the order service; what all services share is in celery_config/settings/."""

from celery_config.settings import env, service_settings
from celery_config.settings.notifications import notification_settings

DUTIES = (
    "celery_config.saga.duties.saga_duties",
    "celery_config.notifications.duties.notification_duties",
    "order_project.retention.duties",
    "order_project.proof.duties.proof_duties",
)
CHECKED = ("saga_time", "participants", "hindrances", "queues", "pauses", "definitions", "deadlines")
NOTIFIER_CHECK = {"notifier": "celery_config.notifications.heartbeat.check_notifier"}
CHECKS = {
    **{name: f"celery_config.saga.measures.check_{name}" for name in CHECKED},
    "proof": "order_project.proof.measures.check_proof",
    **NOTIFIER_CHECK,
}
MEASURED = ("flows", "dead_letters", "time", "last_minute", "queues")
MEASURES = (
    *(f"celery_config.saga.measures.measure_{name}" for name in MEASURED),
    "order_project.proof.measures.measure_proof",
    "celery_config.notifications.heartbeat.measure_notifier",
)
# What somebody is told of: each function says what stands, and the notifier asks it every ten seconds.
CONDITIONS = {
    "parked": "celery_config.saga.conditions.find_parked",
    "overdue": "celery_config.saga.conditions.find_overdue",
    "failing": "celery_config.saga.failing_conditions.find_failing",
    "cancelled": "order_project.conditions.find_cancelled",
    "held money": "celery_config.saga.conditions.find_ending_holds",
    "holds": "celery_config.saga.conditions.find_lasting_holds",
    "requests": "celery_config.saga.conditions.find_requests",
    "dead letters": "celery_config.saga.conditions.find_dead_letters",
    "saga time": "celery_config.saga.conditions.find_standing",
    "services": "celery_config.saga.service_conditions.find_troubles",
    "broken promises": "order_project.proof.conditions.find_broken",
}
# The admin's home: how often each part is asked for, in seconds, and what shows it.
BOARD_PARTS = {
    "waiting": (2, ["celery_config.saga.admin.board.show_waiting"]),
    "requests": (2, ["celery_config.saga.admin.request_board.show_requests"]),
    "incidents": (2, ["celery_config.notifications.board.show_incidents"]),
    "proof": (10, ["order_project.proof.board.show_proof"]),
    "failing": (2, ["celery_config.saga.admin.board.show_failing"]),
    "holds": (2, ["celery_config.saga.admin.hold_board.show_holds"]),
    "batches": (2, ["celery_config.saga.admin.batch_board.show_batches"]),
    "under-way": (2, ["celery_config.saga.admin.board.show_under_way"]),
    "oldest": (2, ["celery_config.saga.admin.board.show_oldest"]),
    "outcomes": (10, ["order_project.board.show_orders"]),
    "services": (10, ["celery_config.saga.admin.services.show_services"]),
}
globals().update(
    service_settings(
        "order",
        apps=(
            "celery_config.saga",
            "celery_config.saga.batches",
            "celery_config.saga.holds",
            "celery_config.saga.approvals",
            "celery_config.notifications",
            "order_project.proof",
        ),
        duties=DUTIES,
        measures=MEASURES,
        flow_checks=CHECKS,
        ready_notes=NOTIFIER_CHECK,
        board=BOARD_PARTS,
        badges=(
            "celery_config.saga.operations.overview.count_badges",
            "celery_config.saga.operations.approvals.count_badges",
            "celery_config.notifications.board.count_badges",
        ),
    )
)

DATA_MAP = "order_project.erasure.data.DATA_MAP"
# 1: payment first, as a shop usually starts; 2: inventory first; 3: as 1, over REST. Running orders finish on theirs.
PLACE_ORDER_VERSION = env.int("PLACE_ORDER_VERSION", 1)
# The release that runs, as its image is tagged: a group of dead letters says since which it came. Empty: not known.
RELEASE = env.str("RELEASE", "")
# RabbitMQ's management API, which knows the members of queues; empty: the members are not checked.
BROKER_API = env.str("ORDER_BROKER_API", "")
# So many hours before the provider lets held money go, somebody is told of it.
HOLD_NOTICE_HOURS = env.float("HOLD_NOTICE_HOURS", 24.0)
# Whether ended orders are proved.
PROVE_ORDERS = env.bool("PROVE_ORDERS", True)
# A hold that lasts so many hours, and that no operator lets go, is told.
HELD_TOO_LONG_HOURS = env.float("HELD_TOO_LONG_HOURS", 1.0)
globals().update(notification_settings())
# How many orders a user may have under way; 0: any number. Staff and services are exempt.
ORDERS_UNDER_WAY = env.int("ORDERS_UNDER_WAY", 0)
SANDBOX_URL = env.str("SANDBOX_URL", "http://127.0.0.1:8090")
# Who takes the money and the parcels: faults on purpose are for the sandbox alone.
PAYMENT_GATEWAY, CARRIER = env.str("PAYMENT_GATEWAY", "sandbox"), env.str("CARRIER", "sandbox")
