#!/usr/bin/env bash
# Real receivers of alerts: what each has after a run, and after kills between send and acknowledgement. `run.sh help` says how to run it.
#
# Receivers are installed into a cache directory of their own: nothing is installed on the system, and no service is started.
set -euo pipefail

OPENSEARCH=2.19.1
ALERTMANAGER=v0.28.1

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${APIWARDEN_RECEIVERS:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/apiwarden/receivers}

say() { echo "run.sh: $*" >&2; }
fail() { say "$*"; exit 1; }

usage() {
    cat <<END
Usage: tests/receivers/run.sh [fetch | path | alone | canaries | everything [--kills N] | hang [--minutes N] | [--kills N] [NAME…]]

  fetch      only install the receivers
  path       install them, and print where Python is that has what these tests need
  alone      what needs no broker: syslog and mail with TLS and logins, restarts of syslog servers, a full disk
  canaries   1,000 secrets in logs in, none in what comes out anywhere
  everything these, all targets with kills, and canaries: what CI runs
  hang       a sink that never answers beside one that works, for 10 minutes or N
  --kills N  kill the product N times a target between send and acknowledgement, default 3
  NAME       these targets, else all: opensearch alertmanager otlp splunk webhook pagerduty opsgenie slack teams sentinel
             syslog smtp security_lake kafka

Settings, from the environment:

  KAFKA_BOOTSTRAP_SERVERS  the broker: export "\$(tests/kafka/kafka.sh up)"
  APIWARDEN                the binary, default debug/apiwarden in CARGO_TARGET_DIR or target
  APIWARDEN_RECEIVERS      where the receivers lie, default ~/.cache/apiwarden/receivers
END
}

# Runs a step whose result is kept, unless it was made from the same recipe. The recipe is noted last, so that an interrupted step is repeated.
made() {
    local what=$1 recipe
    recipe=$(cat "${@:3}" | sha256sum)
    [[ $(cat "$cache/$what.recipe" 2>/dev/null) != "$recipe" ]] || return 0
    say "installing $what into $cache"
    rm -rf "${cache:?}/$what" "$cache/$what.recipe"
    if ! "$2" >"$cache/$what.log" 2>&1 </dev/null; then
        tail -n 30 "$cache/$what.log" >&2
        fail "$what could not be installed (the end of its log is above)"
    fi
    echo "$recipe" >"$cache/$what.recipe"
}

# The server as its distribution lays it out: jars in lib, and the transport a module of its own.
opensearch() {
    local home=$cache/opensearch module=$cache/opensearch/modules/transport-netty4
    mkdir -p "$module" "$home/plugins" || return
    mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$home/lib" || return
    mv "$home"/lib/{netty,transport-netty4}-*.jar "$module" || return
    cat >"$module/plugin-descriptor.properties" <<END
name=transport-netty4
description=Transport and HTTP
version=$OPENSEARCH
opensearch.version=$OPENSEARCH
java.version=11
classname=org.opensearch.transport.Netty4Plugin
END
    cat >"$module/plugin-security.policy" <<'END'
grant codeBase "${codebase.netty-common}" {
    permission java.io.FilePermission "/proc/sys/net/core/somaxconn", "read";
    permission java.lang.RuntimePermission "*", "setContextClassLoader";
    permission java.net.SocketPermission "*", "accept,connect";
};
grant codeBase "${codebase.netty-transport}" {
    permission java.net.SocketPermission "*", "connect,accept";
};
END
}

alertmanager() { GOBIN=$cache/alertmanager CGO_ENABLED=0 go install "github.com/prometheus/alertmanager/cmd/alertmanager@$ALERTMANAGER"; }

collector() (cd "$here/collector" && CGO_ENABLED=0 go build -trimpath -o "$cache/collector/collector" .)

environment() { python3 -m venv "$cache/python" && "$cache/python/bin/pip" install --quiet --requirement "$here/requirements.txt"; }

fetch() {
    local needed
    for needed in java mvn go python3 openssl zstd unshare; do
        command -v "$needed" >/dev/null || fail "$needed is missing: install it (Java 17, Maven, Go 1.24, Python 3.11, OpenSSL, zstd, util-linux)"
    done
    mkdir -p "$cache"
    # Two at once would build in the same places.
    exec 8>"$cache/lock"
    flock 8
    made python environment "$here/requirements.txt"
    made opensearch opensearch "$here/pom.xml"
    made alertmanager alertmanager <(echo "$ALERTMANAGER")
    made collector collector "$here"/collector/*
    # Debian's packages, each whole or not there.
    APIWARDEN_RECEIVERS=$cache python standalone.py >&2 || fail "rsyslog and syslog-ng could not be had"
    exec 8>&-
}

python() { "$cache/python/bin/python" "$here/$1" "${@:2}"; }

alone() {
    local test failed=0
    for test in syslog smtp lake; do
        python "$test.py" || failed=1
    done
    return "$failed"
}

main() {
    local what=receivers kills=3 minutes=10 names=()
    while [[ $# -gt 0 ]]; do
        case $1 in
        hang) what=hanging ;;
        alone | canaries | everything) what=$1 ;;
        --kills) kills=$2; shift ;;
        --minutes) minutes=$2; shift ;;
        *) names+=("$1") ;;
        esac
        shift
    done
    APIWARDEN=${APIWARDEN:-${CARGO_TARGET_DIR:-$root/target}/debug/apiwarden}
    [[ -x $APIWARDEN ]] || fail "$APIWARDEN is missing: cargo build, or set APIWARDEN"
    [[ $what == alone || -n ${KAFKA_BOOTSTRAP_SERVERS:-} ]] || fail "KAFKA_BOOTSTRAP_SERVERS is not set: export \"\$(tests/kafka/kafka.sh up)\""
    fetch
    export APIWARDEN APIWARDEN_RECEIVERS=$cache PYTHONDONTWRITEBYTECODE=1 APIWARDEN_FINGERPRINT_KEY="the tests of receivers"
    home=$(mktemp -d)
    trap 'rm -rf "$home"' EXIT
    case $what in
    alone) alone ;;
    canaries) python canaries.py "$home" ;;
    hanging) python hanging.py "$home" "$minutes" ;;
    receivers) python receivers.py "$home" "$kills" "${names[@]}" ;;
    everything) alone && python receivers.py "$home" "$kills" && python canaries.py "$home" ;;
    esac
}

case ${1:-} in
help | -h | --help) usage ;;
fetch) fetch ;;
path) fetch && echo "$cache/python/bin" ;;
*) main "$@" ;;
esac
