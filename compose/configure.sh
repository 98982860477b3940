#!/bin/sh
# Writes the files that PostgreSQL and RabbitMQ read, each whole or not at all: their mounts do not depend on the modes of
# a checkout. RabbitMQ's definitions hold the passwords' hashes.
set -eu
umask 022

python manage.py topology > /definitions/new
mv /definitions/new /definitions/definitions.json
install -m 0444 compose/rabbitmq/rabbitmq.conf /definitions/
# PostgreSQL's image runs every *.sh of this folder in a new volume, and nothing else.
install -m 0444 compose/postgres/pg_hba.conf /postgres/
install -m 0555 compose/postgres/services.sh /postgres/
# Not a name that the image runs by itself.
install -m 0444 compose/postgres/service.psql /postgres/
install -m 0555 compose/entrypoint.sh /postgres/entrypoint
