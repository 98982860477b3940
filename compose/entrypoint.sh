#!/bin/sh
# Starts nothing while a secret is still a placeholder of .env.example.
set -eu
unset_names=$(env | grep 'change-me' | cut -d= -f1 | sort | tr '\n' ' ' || true)
if [ -n "$unset_names" ]; then
    echo "Still placeholders of compose/.env.example: ${unset_names}- set real values in compose/.env" >&2
    exit 78
fi
exec "$@"
