"""Filters of the order service's pages."""
