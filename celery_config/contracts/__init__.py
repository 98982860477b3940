"""The public language of the services: commands, replies, refusals and events, one module a service. Pure."""
