"""Test kit for sagas: scenarios step by step, and a simulator that checks the guarantees under every schedule.

`given` starts a scenario. `check_random`, `check_all` and `replay` run the real decisions in a simulated world that
loses, repeats and delays messages and kills workers; `plugin` offers them as a pytest fixture.
"""

from celery_config.saga.testing.samples import make_sample
from celery_config.saga.testing.scenario import Scenario, fence, given, list_links, name_link
from celery_config.saga.testing.schedules import Schedule, ScheduleFailed, replay
from celery_config.saga.testing.search import Report, Schedules, check_all, check_random

__all__ = [
    "Report",
    "Scenario",
    "Schedule",
    "ScheduleFailed",
    "Schedules",
    "check_all",
    "check_random",
    "fence",
    "given",
    "list_links",
    "make_sample",
    "name_link",
    "replay",
]
