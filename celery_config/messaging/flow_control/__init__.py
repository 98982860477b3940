"""Flow control: so many calls a second, and side by side, to the provider or carrier of a service."""
