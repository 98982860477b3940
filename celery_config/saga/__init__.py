"""The saga engine. `dsl` says what a saga is, `machine` decides, `runner` is the only one that reads and writes."""
