"""The orchestrator: `dsl` defines sagas, `engine` runs them, `operations` and `admin` serve its operators."""
