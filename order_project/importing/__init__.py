"""The import of invoice files: it reads them and places an order for each."""
