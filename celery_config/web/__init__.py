"""The DRF and admin kit of all services: authentication, problem details, pagination, filters, admin."""
