#!/bin/sh
# Makes the roles and the database of each service, and lets no other role connect to it. PostgreSQL's image runs it once,
# when the data volume is new; later it can be run again by hand. psql reads the passwords from the environment, because
# arguments are visible in the list of processes.
set -eu

# services: names
services="order payment inventory shipment"
# end of services
folder=$(dirname "$0")

# The secret of this name, from its file or from the environment.
read_secret() {
    if file=$(printenv "$1_FILE"); then cat "$file"; else printenv "$1"; fi
}

for service in $services; do
    prefix=$(echo "$service" | tr '[:lower:]' '[:upper:]')
    SERVICE_PASSWORD=$(read_secret "${prefix}_DATABASE_PASSWORD")
    OWNER_PASSWORD=$(read_secret "${prefix}_OWNER_DATABASE_PASSWORD")
    export SERVICE_PASSWORD OWNER_PASSWORD
    psql --no-psqlrc --quiet --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" --set=service="$service" \
        --file="$folder/service.psql"
done

# Last: the health check asks for it.
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL'
REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC;
SQL
