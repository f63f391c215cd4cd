#!/bin/sh
# Pin what Poolkeeper and its tests install: `make requirements`, or ARGS="--upgrade" for newer versions.
#
# Reads the ranges of pyproject.toml and writes requirements.txt (the product and its build backend) and
# requirements-dev.txt (the same and the tools), for every supported Python at once, each file with its hash. The
# resolver is uv; it comes from the package index that pip is configured for, into a temporary environment.
set -eu
cd -- "$(dirname -- "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$(readlink -f .venv/bin/python)" -m venv "$work/uv"
"$work/uv/bin/pip" install -q --disable-pip-version-check 'uv>=0.5'
pin() { "$work/uv/bin/uv" pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml --group build "$@"; }
pin -o requirements.txt "$@"
pin --group dev -c requirements.txt -o requirements-dev.txt "$@"
