"""Support: what a person who asks about an order is told, and what may be done for them."""
