"""Choreographed orders: the kind of flow that no saga asks for; each service acts on what the others announce.

The order service announces an order (`announcing`) and keeps what the services announce of it (`events`). Its status
follows from that (`derivation`). Watchdog, parking and operators are the engine's, which knows it by `flow`.
"""
