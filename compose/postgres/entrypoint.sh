#!/bin/sh
# Refuses passwords that are not set, before initdb makes a volume with them.
set -eu

for variable in $(env | grep -oE '^[A-Z_]+_PASSWORD_FILE=' | tr -d =); do
    file=$(printenv "$variable")
    if [ ! -s "$file" ] || grep -q change-me "$file"; then
        echo "Set ${variable%_FILE}: compose/secrets/$(basename "$file") is missing, empty or still a placeholder." \
            "\`python3 -m compose.new_env\` makes what is missing." >&2
        exit 78
    fi
done

exec docker-entrypoint.sh "$@"
