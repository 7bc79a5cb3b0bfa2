#!/usr/bin/env bash
# Real gateways enforce what `protect propose` writes. `run.sh help` says how to run it.
#
# Squid and Envoy are those that tests/producers/run.sh installs; Open Policy Agent is built from source by Go. Nothing is installed on the
# system, and no service is started.
set -euo pipefail

TESTS=(squid envoy opa)
OPA_VERSION=v1.9.0
TEST_SECONDS=180

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${APIWARDEN_PRODUCERS:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/apiwarden/producers}

fail() { echo "run.sh: $*" >&2; exit 1; }

usage() {
    cat <<END
Usage: tests/gateways/run.sh [NAME…]

  NAME    run these tests, else all: ${TESTS[*]}

Settings, from the environment:

  APIWARDEN            the binary, default debug/apiwarden in CARGO_TARGET_DIR or target
  APIWARDEN_PRODUCERS  where the programs lie, default ~/.cache/apiwarden/producers
END
}

# Open Policy Agent in this version, built once.
opa() {
    local home=$cache/opa-$OPA_VERSION
    [[ -x $home/opa ]] || GOBIN=$home CGO_ENABLED=0 go install "github.com/open-policy-agent/opa@$OPA_VERSION" >"$cache/opa.log" 2>&1 || {
        tail -n 30 "$cache/opa.log" >&2
        fail "Open Policy Agent could not be built (the end of its log is above)"
    }
    echo "$home/opa"
}

if [[ ${1:-} == help || ${1:-} == -h || ${1:-} == --help ]]; then
    usage
    exit
fi
for name; do
    [[ " ${TESTS[*]} " == *" $name "* ]] || fail "no such test: $name (there are ${TESTS[*]})"
done
[[ $# -gt 0 ]] || set -- "${TESTS[@]}"
APIWARDEN=${APIWARDEN:-${CARGO_TARGET_DIR:-$root/target}/debug/apiwarden}
[[ -x $APIWARDEN ]] || fail "$APIWARDEN is missing: cargo build, or set APIWARDEN"
bash "$root/tests/producers/run.sh" fetch
[[ " $* " != *" opa "* ]] || { OPA=$(opa); export OPA; }
export APIWARDEN APIWARDEN_PRODUCERS=$cache PYTHONDONTWRITEBYTECODE=1 APIWARDEN_FINGERPRINT_KEY="the tests of gateways"
failed=0
for name; do
    began=$SECONDS
    if timeout "$TEST_SECONDS" "$cache/python/bin/python" "$here/$name.py"; then
        echo "$name: passed in $((SECONDS - began)) s"
    else
        echo "$name: FAILED after $((SECONDS - began)) s"
        failed=$((failed + 1))
    fi
done
echo "$(($# - failed)) passed, $failed failed"
[[ $failed == 0 ]]
