"""Notifications: somebody is told what stands, once a cause, by e-mail and signed webhooks, and when it is over."""
