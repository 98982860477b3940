#!/bin/sh
# Runs once, when the data volume is new: each service gets a role and a database, and no other role may connect to it.
# "order" is a keyword of SQL, so names are always quoted. psql reads the passwords from the environment, because
# arguments are visible in the list of processes.
set -eu

services="order payment inventory shipment"

variable_of() {
    echo "$1_DATABASE_PASSWORD" | tr '[:lower:]' '[:upper:]'
}

for service in $services; do
    psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" \
        --set=service="$service" --set=variable="$(variable_of "$service")" <<'SQL'
\getenv password :variable
CREATE ROLE :"service" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
CREATE DATABASE :"service" OWNER :"service";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
SQL
done

# Last: the health check asks for it.
psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL'
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
SQL
