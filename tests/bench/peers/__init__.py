"""What people would pick instead of us, on the same load: durable workflows by DBOS and by Restate."""
