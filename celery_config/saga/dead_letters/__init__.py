"""Dead letters are untrusted input: they are kept, explained and acted on, and parsing one never raises."""
