"""The participant's side of a flow: it registers handlers of commands, reactions to events, and their HTTP API."""
