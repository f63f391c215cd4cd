#!/bin/sh
# Once, on the first primary: the role and the database that the clients use. The password goes by standard input.
set -eu
psql -X -q -v ON_ERROR_STOP=1 "$1" <<SQL
CREATE ROLE app LOGIN PASSWORD '$(cat /run/patroni/app)';
CREATE DATABASE app OWNER app;
SQL
