"""System checks of what a service declares: contracts, handlers, subscriptions, copies, sagas, and its name.

`check`, `migrate` and the relay run them with all others. They need no database, so web and worker run them at their
start, too (`START_CHECKS`). Each message says what is wrong, and its hint what to write and where.
"""
