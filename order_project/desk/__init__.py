"""The order desk: orders placed by hand for trying out, training and tests, each with what shall happen to it."""
