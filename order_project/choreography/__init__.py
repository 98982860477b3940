"""Choreographed orders: orders without a saga; each service acts on the events of the others.

The order service announces an order (`announcing`) and keeps what the services announce of it (`events`). Its status
follows from that (`derivation`). Watchdog, parking and operators are the engine's, which knows it by `flow`.
"""
