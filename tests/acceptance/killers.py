"""Names of the tasks of `killer_tasks`, for tests, which are no Django process."""

KILL, EXIT, HANG, BREAK = (f"inventory.{verb}_worker" for verb in ("kill", "exit", "hang", "break"))
EXIT_CODE_OF_HANG = 70
