#!/bin/sh
# The entry point of our containers, and of PostgreSQL's before initdb makes a volume. Starts nothing while a secret is
# missing, a password is empty, a value is still a placeholder, or one breaks the address that it is a part of.
set -eu
for variable in $(env | grep -oE '^[A-Z_]+_FILE=/run/secrets/' | cut -d= -f1); do
    file=$(printenv "$variable")
    case $variable in *_PASSWORD_FILE) needed=-s ;; *) needed=-r ;; esac
    if [ ! -r "$file" ] || [ ! "$needed" "$file" ] || grep -q change-me "$file"; then
        echo "Set ${variable%_FILE}: compose/secrets/$(basename "$file") is missing, empty or still a placeholder." \
            "\`python3 -m compose.new_env\` makes what is missing." >&2
        exit 78
    fi
done
unset_names=$(env | grep 'change-me' | cut -d= -f1 | sort | tr '\n' ' ' || true)
if [ -n "$unset_names" ]; then
    echo "Still placeholders of compose/.env.example: ${unset_names}- set real values in compose/.env" >&2
    exit 78
fi
# Passwords in addresses are there as they are; these are the characters that stand for themselves (RFC 3986). Those that come
# from files are quoted.
safe='[A-Za-z0-9._~!$&()*+,;=-]+'
addresses='^[A-Z]+_(DATABASE_URL|BROKER_URL|BROKER_API)=.*@'
broken_names=$(
    env | grep -E "$addresses" | grep -vE "^[A-Z_]+=[a-z]+://[^:/?#@]+(:$safe)?@[^@]+/.*\$" |
        cut -d= -f1 | sort | tr '\n' ' ' || true
)
if [ -n "$broken_names" ]; then
    echo "A password with a character that breaks an address: ${broken_names}- use letters and digits in compose/.env" >&2
    exit 78
fi
exec "$@"
