#!/bin/sh
# Patroni calls this once, on the new cluster, with a connection string. It creates the roles and the application's
# database. Passwords go through psql's variables, never through an argument list, and never into the server's log.
set -eu

psql -X -q -v ON_ERROR_STOP=1 -d "$1" <<'SQL'
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
SET password_encryption = 'scram-sha-256';
\getenv check_role POOLKEEPER_CHECK_ROLE
\getenv rewind_role POOLKEEPER_REWIND_ROLE
\getenv app_role POOLKEEPER_APP_ROLE
\getenv app_database POOLKEEPER_APP_DATABASE
\set check_password `cat /run/poolkeeper/check`
\set rewind_password `cat /run/poolkeeper/rewind`
\set app_password `cat /run/poolkeeper/app`

CREATE ROLE :"check_role" LOGIN PASSWORD :'check_password' IN ROLE pg_monitor CONNECTION LIMIT 40;

-- Patroni may have created the rewind role already.
SELECT format('CREATE ROLE %I LOGIN', :'rewind_role')
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'rewind_role') \gexec
ALTER ROLE :"rewind_role" LOGIN PASSWORD :'rewind_password';
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean) TO :"rewind_role";
GRANT EXECUTE ON FUNCTION pg_catalog.pg_stat_file(text, boolean) TO :"rewind_role";
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text) TO :"rewind_role";
GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean) TO :"rewind_role";

CREATE ROLE :"app_role" LOGIN PASSWORD :'app_password';
CREATE DATABASE :"app_database" OWNER :"app_role";
SQL
