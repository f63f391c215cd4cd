#!/bin/sh
# Make .venv, the Python environment of Poolkeeper: ./setup.sh [--dev]. --dev adds what the tests need.
#
# Invariant: only a .venv with a current stamp is trusted. The stamp is removed before any change and written last, so a
# second run repairs an interrupted one. If the stamp is current, a run takes a few milliseconds and changes nothing.
# The package index is that of pip's own configuration. If Python's venv module is missing, apt installs it where this
# user may install packages.
set -eu
unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX
export PIP_USER=0 # with `user = true` in its configuration, pip would refuse an environment
case $0 in */*) cd -- "${0%/*}" ;; esac
case $* in
    '') dev=no ;;
    --dev) dev=yes ;;
    *) echo "usage: $0 [--dev]" >&2; exit 2 ;;
esac
stamp=.venv/.poolkeeper-stamp
log=/dev/null
unfinished=''

fail() { # MESSAGE HINT: also shows the log of a failed step, and removes an unfinished environment
    tail -n 15 "$log" >&2
    printf 'setup: %s\n  %s\n' "$1" "$2" >&2
    rm -rf $unfinished
    exit 1
}

# The stamp's text is $base, or with --dev $all. A stamp that was cut short never claims more than is installed.
base=$(pwd -P && sha256sum setup.sh requirements.txt pyproject.toml 2>/dev/null) &&
    all="$base $(sha256sum requirements-dev.txt 2>/dev/null)" ||
    fail "setup.sh, pyproject.toml or requirements*.txt cannot be read" "Is this a complete copy of Poolkeeper?"

is_current() { # $found is the text of the stamp, or empty
    found=''
    [ -x .venv/bin/python ] && [ -x .venv/bin/poolkeeper ] && found=$(cat $stamp 2>/dev/null) || return 1
    case $dev:$found in no:"$base"* | yes:"$all") ;; *) return 1 ;; esac
}

if is_current; then exit 0; fi
# One run at a time. The lock is on this file, and the kernel releases it when the last process that holds it ends.
exec 9<setup.sh
flock -n 9 || { echo "setup: waiting for another setup.sh to end …"; flock 9; }
if is_current; then exit 0; fi

work=$(mktemp -d)
log=$work/log
: >"$log"
trap 'rm -rf "$work"' EXIT
exec 3>&2 # the trap may run inside a step, whose standard error is the log
trap 'printf "\nsetup: interrupted; run the same again to repair it\n" >&3; exit 130' INT TERM HUP

step() { # WHAT COMMAND…: run it and print its duration; $log has the output of a failed command, else nothing
    printf '  %s … ' "$1"
    shift
    begin=$(date +%s)
    "$@" >"$log" 2>&1 || { echo failed; return 1; }
    : >"$log"
    echo "$(($(date +%s) - begin)) s"
}

root=''
[ "$(id -u)" = 0 ] || root='sudo -n'
apt() {
    $root env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
        -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "$@"
}
apt_install() { # with the present package lists, or else with new ones
    apt install --no-install-recommends "$@" || { apt update && apt install --no-install-recommends "$@"; }
}

names='python3 python3.13 python3.12 python3.11'
# Print the path of the interpreter below any active environment. The path has the full version: after an upgrade of the
# system's Python, .venv/bin/python leads nowhere, and .venv is made again.
behind='import os, sys
print(os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))'
# Print the way to install packages into an environment: this Python's own pip, or ensurepip, which takes some seconds
# longer, or "bare" if it has neither. Then print its version.
probe='import sys
if sys.version_info < (3, 11): sys.exit(1)
how = "bare"
try:
    import venv, ensurepip
    how = "ensurepip"
except ImportError: pass
try:
    import venv, pip
    if tuple(int(part) for part in pip.__version__.split(".")[:2]) >= (22, 3): how = "pip"
except (ImportError, ValueError): pass
print(how, "%d.%d" % sys.version_info[:2])'

find_python() { # sets $python and $how; without a usable Python, $bare and $version of one that has neither way
    bare='' version=''
    for name in $names /usr/bin/python3; do
        python=$("$name" -c "$behind" 2>/dev/null) && found=$("$python" -c "$probe" 2>/dev/null) || continue
        how=${found% *}
        [ "$how" = bare ] || return 0
        [ -n "$bare" ] || bare=$python version=${found#* }
    done
    return 1
}

offered_python() { # print the package of a Python that is new enough, from this distribution's lists
    for name in $names; do
        offered=$(LC_ALL=C apt-cache policy "$name" 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9]*\.[0-9]*\).*/\1/p')
        case $offered in 3.1[1-9] | 3.[2-9][0-9] | [4-9].*) echo "$name"; return ;; esac
    done
}

install_python() {
    by_hand="Install Python 3.11 or later with its venv module (Debian, Ubuntu: python3 and python3-venv), run this again."
    what="no Python 3.11 or later is here"
    [ -z "$bare" ] || what="$bare has neither pip nor the module ensurepip"
    command -v apt-get >/dev/null 2>&1 && $root true 2>/dev/null ||
        fail "$what, and this user may not install packages here" "$by_hand"
    case $bare in
        /usr/bin/*) packages="python$version-venv" ;;
        *)
            [ -n "$(offered_python)" ] || step "fetching the package lists" apt update || :
            package=$(offered_python)
            [ -n "$package" ] || fail "$what, and this distribution offers none" "$by_hand"
            packages="$package $package-venv"
            ;;
    esac
    echo "setup: $what; installing the distribution's packages: $packages"
    step "apt-get install $packages" apt_install $packages || fail "apt could not install $packages" "$by_hand"
    find_python || fail "$packages was installed, but still no usable Python 3.11 is found" "$by_hand"
}

pip() { # install into .venv by its own pip, or by that of the Python which it was made from
    by=.venv/bin/python
    [ -x .venv/bin/pip ] || by=$(readlink -f $by)
    "$by" -m pip --python .venv/bin/python --disable-pip-version-check --no-input "$@"
}

pip_failed() { # WHAT
    fail "pip could not $1 the requirements" \
        "Check the network, the proxy and pip's configuration (pip config list), then run this again."
}

add_dev() { # to a current .venv: everything is fetched before anything changes, so a network failure breaks nothing
    echo "setup: adding what the tests need to .venv"
    step "pip fetches requirements-dev.txt" pip download -q -d "$work/wheels" -r requirements-dev.txt ||
        pip_failed fetch
    rm -f $stamp
    step "pip installs it" pip install -q --no-index --find-links "$work/wheels" -r requirements-dev.txt ||
        pip_failed install
    printf "%s\n" "$all" >$stamp
}

make_all() {
    find_python || install_python
    rm -f $stamp
    rm -rf .venv
    echo "setup: making .venv with $python"
    unfinished=.venv
    without=''
    [ "$how" = ensurepip ] || without=--without-pip
    step "python -m venv $without" "$python" -m venv $without .venv ||
        fail "the environment could not be made" "Is this folder writable, and is there space on its disk?"
    file=requirements.txt text=$base
    [ $dev = no ] || file=requirements-dev.txt text=$all # it includes the other file
    step "pip install -r $file" pip install -q -r $file || pip_failed install
    # The build backend is among the requirements, so this installation fetches nothing.
    step "pip install poolkeeper" pip install -q --no-index --no-deps --no-build-isolation -e . || pip_failed build
    # Where Python may not write beside the sources, every start would compile its imports again.
    .venv/bin/python -m compileall -q src || echo "setup: src could not be compiled; every command starts slower"
    printf "%s\n" "$text" >$stamp
}

case $dev:$found in yes:"$base"*) add_dev ;; *) make_all ;; esac
