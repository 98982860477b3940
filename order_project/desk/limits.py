"""How much the desk places. Pure."""

MOST_LINES = 20
MOST_ORDERS = 200
"""At once."""
FASTEST = 20
"""Orders a second."""
