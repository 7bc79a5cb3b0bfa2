#!/usr/bin/env bash
# Real log producers write into a real Kafka, and an alert has to come out of apiwarden. `run.sh help` says how to run it.
#
# The producers are installed into a cache directory of their own: nothing is installed on the system, and no service is started.
set -euo pipefail

TESTS=(nginx_rsyslog squid_syslog_ng envoy_rsyslog caddy_rsyslog mitmproxy_har otel_collector python_logging)
BUILDER=go.opentelemetry.io/collector/cmd/builder@v0.165.0
TEST_SECONDS=420

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${APIWARDEN_PRODUCERS:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/apiwarden/producers}

say() { echo "run.sh: $*" >&2; }
fail() { say "$*"; exit 1; }

usage() {
    cat <<END
Usage: tests/producers/run.sh [fetch | NAME…]

  fetch   only install the producers
  NAME    run these tests, else all: ${TESTS[*]}

Settings, from the environment:

  KAFKA_BOOTSTRAP_SERVERS  the broker: export "\$(tests/kafka/kafka.sh up)"
  APIWARDEN                the binary, default debug/apiwarden in CARGO_TARGET_DIR or target
  APIWARDEN_PRODUCERS      where the producers lie, default ~/.cache/apiwarden/producers
END
}

# Runs a step whose result is kept, unless it was made from the same recipe. The recipe is kept beside the result, and last, so that
# an interrupted step is repeated.
made() {
    local what=$1 recipe=$2
    shift 2
    ! cmp -s "$recipe" "$cache/$what.recipe" || return 0
    say "installing $what into $cache"
    rm -rf "${cache:?}/$what" "$cache/$what.recipe"
    if ! "$@" >"$cache/$what.log" 2>&1 </dev/null; then
        tail -n 30 "$cache/$what.log" >&2
        fail "$what could not be installed (the end of its log is above)"
    fi
    cp "$recipe" "$cache/$what.recipe"
}

# Downloads packages with what they need and this system lacks, and unpacks them: no script of theirs runs. A line of the list is what
# can be installed together: the two syslog daemons exclude each other.
debian() {
    local archives=$cache/debian/archives together deb
    mkdir -p "$archives/partial"
    apt-get update || say "the package lists could not be updated: using those that are there"
    while read -r together; do
        # shellcheck disable=SC2086 # several words are several packages
        apt-get install -y --download-only --reinstall --no-install-recommends \
            -o Dir::Cache::archives="$archives" -o Debug::NoLocking=true $together </dev/null || return
    done <"$here/packages.txt"
    for deb in "$archives"/*.deb; do
        dpkg-deb --extract "$deb" "$cache/debian" || return
    done
    rm -rf "$archives"
}

python() { python3 -m venv "$cache/python" && "$cache/python/bin/pip" install --quiet --requirement "$here/requirements.txt"; }

collector() (cd "$cache" && go run "$BUILDER" --config "$root/pipelines/producers/otel-builder.yaml")

fetch() {
    local needed
    for needed in "apt-get:Debian's packages are used" "dpkg-deb:Debian's packages are used" "python3:install Python 3.11 or later" \
        "go:install Go 1.26 or later" "openssl:install it"; do
        command -v "${needed%%:*}" >/dev/null || fail "${needed%%:*} is missing: ${needed#*:}"
    done
    mkdir -p "$cache"
    # Two at once would build in the same places.
    exec 8>"$cache/lock"
    flock 8
    made debian "$here/packages.txt" debian
    made python "$here/requirements.txt" python
    made otelcol "$root/pipelines/producers/otel-builder.yaml" collector
    exec 8>&-
}

# Tests that still run when this script is ended stop their own programs and delete their directories.
end_run() {
    local group
    for group in $(jobs -p); do
        kill -TERM -- "-$group" 2>/dev/null || true
    done
    wait || true
    rm -rf "$logs"
}

run() {
    local name code seconds passed=0 failed=0
    [[ -n ${KAFKA_BOOTSTRAP_SERVERS:-} ]] || fail "KAFKA_BOOTSTRAP_SERVERS is not set: export \"\$(tests/kafka/kafka.sh up)\""
    APIWARDEN=${APIWARDEN:-${CARGO_TARGET_DIR:-$root/target}/debug/apiwarden}
    [[ -x $APIWARDEN ]] || fail "$APIWARDEN is missing: cargo build, or set APIWARDEN"
    export APIWARDEN APIWARDEN_PRODUCERS=$cache PYTHONDONTWRITEBYTECODE=1 APIWARDEN_FINGERPRINT_KEY="the tests of log producers"
    logs=$(mktemp -d)
    trap end_run EXIT
    # Each test is a process group of its own, so that it ends with all its parts.
    set -m
    # All at once: each waits most of its time for event time to pass.
    for name; do
        (
            began=$SECONDS code=0
            timeout --foreground "$TEST_SECONDS" "$cache/python/bin/python" "$here/$name.py" >"$logs/$name" 2>&1 || code=$?
            echo "$code $((SECONDS - began))" >"$logs/$name.end"
        ) &
    done
    wait
    for name; do
        read -r code seconds <"$logs/$name.end"
        if [[ $code == 0 ]]; then
            echo "$name: passed in $seconds s: $(sed -n 's/^alert: //p' "$logs/$name")"
            passed=$((passed + 1))
        else
            echo "$name: FAILED after $seconds s"
            sed 's/^/    /' "$logs/$name"
            failed=$((failed + 1))
        fi
    done
    echo "$passed passed, $failed failed"
    [[ $failed == 0 && $passed -gt 0 ]]
}

case ${1:-} in
help | -h | --help) usage ;;
fetch) fetch ;;
*)
    for name; do
        [[ " ${TESTS[*]} " == *" $name "* ]] || fail "no such test: $name (there are ${TESTS[*]})"
    done
    fetch
    run "${@:-${TESTS[@]}}"
    ;;
esac
