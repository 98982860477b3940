"""What a new service and a new saga begin with: `./manage.py startservice` and `./manage.py startsaga`."""
