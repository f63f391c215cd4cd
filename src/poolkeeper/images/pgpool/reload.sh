#!/bin/sh
# Takes the files again and has Pgpool (process 1) read them, without ending a session.
set -eu

take_config.sh
kill -HUP 1
