#!/bin/bash
# Healthy: the keeper answers, and its loop has iterated recently (the API answers 503 where it has not).
set -eu

exec 3<> /dev/tcp/127.0.0.1/8407
printf 'GET /health HTTP/1.0\r\n\r\n' >&3
read -r -t 3 _ status _ <&3
[ "$status" = 200 ]
