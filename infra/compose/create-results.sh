#!/bin/sh
# Run once by Postgres' image, on an empty volume: a database for Celery's results, whose user can enter no other.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$(cat /run/secrets/celery_results_password)" \
  --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE celery LOGIN PASSWORD :'password';
CREATE DATABASE celery OWNER celery;
REVOKE CONNECT ON DATABASE airflow FROM PUBLIC;
REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
SQL
