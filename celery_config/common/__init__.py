"""What every part of the system may use and what knows none of them."""
