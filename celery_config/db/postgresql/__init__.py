"""Database backend of the services that run on PostgreSQL."""
