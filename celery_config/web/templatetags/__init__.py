"""Tags of the templates: live fragments, and the bar of the services."""
