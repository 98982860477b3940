"""Batches: one verb on many flows. A dry run comes first; the relay then acts on each, and each has its own outcome."""
