#!/bin/sh
# Starts nothing while a secret is still a placeholder of .env.example, or breaks the address that it is a part of.
set -eu
unset_names=$(env | grep 'change-me' | cut -d= -f1 | sort | tr '\n' ' ' || true)
if [ -n "$unset_names" ]; then
    echo "Still placeholders of compose/.env.example: ${unset_names}- set real values in compose/.env" >&2
    exit 78
fi
# The passwords are in the addresses as they are; these are the characters that stand for themselves there (RFC 3986).
safe='[A-Za-z0-9._~!$&()*+,;=-]+'
addresses='^[A-Z]+_(DATABASE_URL|BROKER_URL|BROKER_API)=.*@'
passwords='^RABBITMQ_(ORDER|PAYMENT|INVENTORY|SHIPMENT|FLOWER)_PASSWORD='
broken_names=$(
    env | grep -E "$addresses|$passwords" | grep -vE "^[A-Z_]+=([a-z]+://[^:/?#@]+(:$safe)?@[^@]+/.*|$safe)\$" |
        cut -d= -f1 | sort | tr '\n' ' ' || true
)
if [ -n "$broken_names" ]; then
    echo "A password with a character that breaks an address: ${broken_names}- use letters and digits in compose/.env" >&2
    exit 78
fi
exec "$@"
