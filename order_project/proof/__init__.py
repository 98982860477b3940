"""Standing proof: each order that ends is compared with what every service says, and each day has a statement."""
