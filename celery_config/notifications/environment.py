"""The rule that an installation has without a click: NOTIFY_EMAILS, if it is set, is told of everything."""

from __future__ import annotations

from django.conf import settings

from celery_config.notifications.models import Channel, NotificationRule

NAME = "NOTIFY_EMAILS"


def follow_environment() -> None:
    """Make the rule, bring its addresses up to date, or switch it off when the setting is empty.

    What people change of it otherwise stays: kinds, severity, repeats.
    """
    emails = ", ".join(settings.NOTIFY_EMAILS)
    if not emails:
        NotificationRule.objects.filter(from_environment=True).update(enabled=False, emails="")
        return
    rule, made = NotificationRule.objects.get_or_create(
        from_environment=True,
        defaults={"name": NAME, "channel": Channel.EMAIL, "emails": emails},
    )
    if not made and rule.emails != emails:
        NotificationRule.objects.filter(pk=rule.pk).update(emails=emails, enabled=True)
