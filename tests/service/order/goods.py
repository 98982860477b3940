"""Products that the tests of the order service sell."""

HEART, LAMP = "85123A", "71053"
