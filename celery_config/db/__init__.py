"""The database: bulk statements whose text never changes, SQL functions, and the PostgreSQL backend."""
