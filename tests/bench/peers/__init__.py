"""The peers, DBOS and Restate: what people may choose instead of the order saga."""
