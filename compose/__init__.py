"""How the system is run: on one machine, in containers, and with its sandbox of provider and carrier."""
