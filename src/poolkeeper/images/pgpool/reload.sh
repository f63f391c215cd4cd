#!/bin/sh
# Installs the files again and makes Pgpool-II (process 1) read them, without ending a session.
set -eu

take_config.sh
kill -HUP 1
