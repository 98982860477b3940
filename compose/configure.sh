#!/bin/sh
# Writes the files that PostgreSQL, RabbitMQ, Prometheus and Grafana read, each whole or not at all: their mounts do not depend on the modes of
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
# For the profile `monitoring`.
install -m 0444 compose/monitoring/prometheus.yaml compose/monitoring/rules.yaml compose/monitoring/sums.yaml /monitoring/
install -d /monitoring/provisioning/datasources /monitoring/provisioning/dashboards /monitoring/dashboards
install -m 0444 compose/monitoring/provisioning/datasources.yaml /monitoring/provisioning/datasources/
install -m 0444 compose/monitoring/provisioning/dashboards.yaml /monitoring/provisioning/dashboards/
install -m 0444 compose/monitoring/grafana/*.json /monitoring/dashboards/
