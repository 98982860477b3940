"""What the sandbox and its users have in common: words, fates of orders, goods, and the client of its control."""
