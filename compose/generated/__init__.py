"""What follows from the services' declarations in files that others read, such as compose and import-linter."""
