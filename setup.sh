#!/bin/sh
# Makes .venv, the Python environment of Poolkeeper: ./setup.sh [--dev]. With --dev also what the tests need.
#
# Invariant: .venv is trusted only by its stamp, which is removed before anything changes and written last; so whatever
# interrupts this, running it again repairs it. Where the stamp is current nothing is done, in a few milliseconds.
# Package indexes are pip's own configuration. Python's venv module is installed by apt where it is missing and may be.
set -eu
unset PYTHONHOME PYTHONPATH PIP_TARGET PIP_PREFIX
export PIP_USER=0 # a `user = true` in pip's configuration would refuse an environment
case $0 in */*) cd -- "${0%/*}" ;; esac
here=$(pwd -P)
stamp=.venv/.poolkeeper-stamp
dev=no
for word in "$@"; do
    case $word in
        --dev) dev=yes ;;
        *) echo "usage: $0 [--dev]" >&2; exit 2 ;;
    esac
done

fail() { # MESSAGE HINT
    printf 'setup: %s\n  %s\n' "$1" "$2" >&2
    exit 1
}

hashes=$(sha256sum setup.sh requirements.txt pyproject.toml requirements-dev.txt 2>/dev/null) ||
    fail "setup.sh, pyproject.toml or requirements*.txt cannot be read" "Is this a complete copy of Poolkeeper?"
set -- $hashes
base_wanted="$here $1 $3 $5"
dev_wanted=$7

is_current() { # reads what the stamp says; base_found and dev_found are used later as well
    base_found='' dev_found=''
    [ -x .venv/bin/python ] && [ -x .venv/bin/poolkeeper ] && [ -f $stamp ] || return 1
    { read -r base_found && read -r dev_found; } <$stamp || return 1
    [ "$base_found" = "$base_wanted" ] || return 1
    [ $dev = no ] || [ "$dev_found" = "$dev_wanted" ]
}

if is_current; then exit 0; fi

# One at a time: the lock is on this file itself and ends with the last process that holds it.
exec 9<setup.sh
if command -v flock >/dev/null 2>&1; then
    flock -n 9 || { echo "setup: waiting for another setup.sh to end …"; flock 9; }
    if is_current; then exit 0; fi
fi

work=$(mktemp -d)
log=$work/log
trap 'rm -rf "$work"' EXIT
exec 3>&2 # a trap may run inside a step, where 2 is its log
trap 'printf "\nsetup: interrupted; run the same again to repair it\n" >&3; exit 130' INT TERM HUP

now() {
    t=$(date +%s%3N)
    case $t in *[!0-9]*) t=$(date +%s)000 ;; esac
    echo "$t"
}

step() { # WHAT COMMAND…: runs it quietly, says how long it took; what it printed is in $log
    printf '  %s … ' "$1"
    shift
    begin=$(now)
    if "$@" >"$log" 2>&1; then
        took=$(($(now) - begin))
        printf '%d.%d s\n' $((took / 1000)) $((took % 1000 / 100))
    else
        echo failed
        return 1
    fi
}

has_root() { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
may_install() { command -v apt-get >/dev/null 2>&1 && has_root; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
apt() {
    as_root env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
        -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "$@"
}
apt_install() { apt install --no-install-recommends "$@" || { apt update && apt install --no-install-recommends "$@"; }; }

# The program behind a name: not that of an active environment, and by its full version, so that an upgrade of the
# system's Python is noticed.
behind='import os, sys
print(os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))'
# What can fill an environment: its own pip, or ensurepip, which takes some seconds longer; else "bare". And its version.
probe='import sys
if sys.version_info < (3, 11): sys.exit(1)
how = "bare"
try:
    import venv
    import ensurepip
    how = "ensurepip"
except ImportError: pass
try:
    import venv, pip
    if tuple(int(part) for part in pip.__version__.split(".")[:2]) >= (22, 3): how = "pip"
except (ImportError, ValueError): pass
print(how, "%d.%d" % sys.version_info[:2])'

find_python() { # python, how: a usable one; bare, version: one that can make no environment
    python='' how='' bare='' version=''
    for name in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        program=$("$name" -c "$behind" 2>/dev/null) && found=$("$program" -c "$probe" 2>/dev/null) || continue
        how=${found% *}
        [ "$how" = bare ] || { python=$program; return 0; }
        [ -n "$bare" ] || bare=$program version=${found#* }
    done
    return 1
}

offered_python() { # the package of a Python that is new enough, as this distribution's lists offer it
    for name in python3 python3.13 python3.12 python3.11; do
        offered=$(LC_ALL=C apt-cache policy "$name" 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9]*\.[0-9]*\).*/\1/p')
        case $offered in 3.1[1-9] | 3.[2-9][0-9] | [4-9].*) echo "$name"; return ;; esac
    done
}

install_python() {
    by_hand="Install Python 3.11 or later with its venv module (Debian, Ubuntu: python3 and python3-venv), run this again."
    what="no Python 3.11 or later is here"
    [ -z "$bare" ] || what="$bare has neither pip nor the module ensurepip"
    may_install || fail "$what, and this user may not install packages here" "$by_hand"
    case $bare in
        /usr/bin/*) package="python$version" ;;
        *)
            [ -n "$(offered_python)" ] || step "fetching the package lists" apt update || tail -n 5 "$log" >&2
            package=$(offered_python)
            [ -n "$package" ] || fail "$what, and this distribution offers none" "$by_hand"
            ;;
    esac
    packages="$package-venv"
    [ -n "$bare" ] || packages="$package $packages"
    case $bare in '' | /usr/bin/*) ;; *) packages="$package $packages" ;; esac
    echo "setup: $what; installing the distribution's packages: $packages"
    step "apt-get install $packages" apt_install $packages || {
        tail -n 10 "$log" >&2
        fail "apt could not install $packages" "$by_hand"
    }
    find_python || fail "$packages was installed, but still no usable Python 3.11 is found" "$by_hand"
}

pip_failed() { # WHAT
    tail -n 15 "$log" >&2
    fail "pip could not $1 the requirements" \
        "Check the network, the proxy and pip's configuration (pip config list), then run this again."
}

pip() { # for .venv: its own pip, or that of the Python it was made from
    if [ -x .venv/bin/pip ]; then
        .venv/bin/python -m pip --disable-pip-version-check --no-input "$@"
    else
        "$(readlink -f .venv/bin/python)" -m pip --python .venv/bin/python --disable-pip-version-check --no-input "$@"
    fi
}

install_project() { # the project itself, editable; its build backend is among the requirements, so nothing is fetched
    pip install -q --no-index --no-deps --no-build-isolation -e .
}

compile_sources() { # each start would compile its imports again where Python may not write beside them
    .venv/bin/python -m compileall -q src || echo "setup: src could not be compiled; every command starts slower"
}

write_stamp() { # DEV-HASH
    printf '%s\n%s\n' "$base_wanted" "$1" >$stamp.new
    mv $stamp.new $stamp
}

add_dev() { # to a current .venv: all is fetched before anything changes, so that a network failure breaks nothing
    echo "setup: adding what the tests need to .venv"
    step "pip fetches requirements-dev.txt" \
        pip download -q -d "$work/wheels" -r requirements-dev.txt || pip_failed fetch
    rm -f $stamp
    step "pip installs it" pip install -q --no-index --find-links "$work/wheels" -r requirements-dev.txt ||
        pip_failed install
    write_stamp "$dev_wanted"
}

make_all() {
    find_python || install_python
    rm -f $stamp
    rm -rf .venv
    echo "setup: making .venv with $python"
    without=''
    [ $how = ensurepip ] || without=--without-pip
    step "python -m venv $without" "$python" -m venv $without .venv || {
        tail -n 10 "$log" >&2
        rm -rf .venv
        fail "the environment could not be made" "Is this folder writable, and is there space on its disk?"
    }
    set -- -r requirements.txt
    dev_done=-
    [ $dev = no ] || { set -- -r requirements-dev.txt; dev_done=$dev_wanted; } # it holds the others too
    step "pip install $*" pip install -q "$@" || {
        rm -rf .venv
        pip_failed install
    }
    step "pip install poolkeeper" install_project || {
        rm -rf .venv
        pip_failed build
    }
    compile_sources
    write_stamp "$dev_done"
}

if [ $dev = yes ] && [ "$base_found" = "$base_wanted" ]; then add_dev; else make_all; fi
