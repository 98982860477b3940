"""The engine: it starts sagas, decides about every answer, and finds the silent ones."""
