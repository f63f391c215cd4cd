#!/bin/sh
# Makes the packages of another Debian suite available, as in: add_suite.sh trixie forky
#
# The archive and its keys are those of the base's own suite. Packages still come from the base's suite, except where
# `apt-get install -t SUITE` names the other one: its priority is 100. Does nothing where both suites are the same.
#
# A testing suite's Release file is valid for a week only, so a mirror that lags offers an expired one. It is accepted
# for this suite alone, and announced: its signature and its checksums hold as always, but a newer one may exist.
set -eu

base=$1
suite=$2
[ "$base" != "$suite" ] || exit 0

list=/etc/apt/sources.list.d/poolkeeper-$suite.list
archive=$(apt-get indextargets --format '$(REPO_URI) $(SIGNED_BY) $(COMPONENT)' 'Created-By: Packages' "Codename: $base" |
    sed -n 's/ main$//p' | head -n 1)
if [ -z "$archive" ]; then
    echo "no source of the suite $base, component main: the base image's /etc/apt has none" >&2
    exit 1
fi
uri=${archive%% *}
keys=${archive#* }

write() {
    printf 'deb [%s%s] %s %s main\n' "$1" "${keys:+ signed-by=$keys}" "$uri" "$suite" > "$list"
}

printf 'Package: *\nPin: release n=%s\nPin-Priority: 100\n' "$suite" > "/etc/apt/preferences.d/poolkeeper-$suite"
write check-valid-until=yes
# apt-get update succeeds although a Release file has expired, unless it is asked for any error.
if ! output=$(apt-get update -o APT::Update::Error-Mode=any 2>&1); then
    printf '%s\n' "$output"
    case $output in
        *" $suite InRelease is expired"* | *"/$suite/InRelease is expired"*) ;;
        *) exit 1 ;;
    esac
    since=$(printf '%s\n' "$output" | sed -n "s|.*/$suite/InRelease is expired (invalid since \([^)]*\)).*|\1|p" | head -n 1)
    echo "poolkeeper: the mirror's Release file of $suite expired ${since:-some time} ago; accepted for Pgpool-II only"
    write check-valid-until=no
    apt-get update -o APT::Update::Error-Mode=any
fi
