#!/bin/sh
# Refuses passwords that would make a volume that never works, before initdb makes it.
set -eu

refuse() {
    echo "$1 in compose/.env: $2" >&2
    exit 78
}

for variable in $(env | grep -oE '^([A-Z]+_DATABASE_PASSWORD|POSTGRES_PASSWORD)=' | tr -d =); do
    case "$(printenv "$variable")" in
        "" | *change-me*) refuse "Set $variable" "it is empty or still a placeholder" ;;
    esac
    [ "$variable" = POSTGRES_PASSWORD ] && continue
    case "$(printenv "$variable")" in
        *[!A-Za-z0-9._~!\$\&\(\)*+,\;=-]*) refuse "Change $variable" "it has a character that breaks an address" ;;
    esac
done

exec docker-entrypoint.sh "$@"
