#!/usr/bin/env bash
# What the catalogue exports, read by the tools that it is meant for: each vendor's OpenAPI by Schemathesis, which tests a local double with it, and
# the bill of materials by the validator of CycloneDX. `run.sh help` says how to run it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/apiwarden/exports

fail() {
    echo "run.sh: $*" >&2
    exit 1
}

case ${1:-} in
help | -h | --help)
    cat <<END
Usage: tests/exports/run.sh

Settings, from the environment:

  APIWARDEN  the binary, default debug/apiwarden in CARGO_TARGET_DIR or target
END
    exit
    ;;
esac

APIWARDEN=${APIWARDEN:-${CARGO_TARGET_DIR:-$root/target}/debug/apiwarden}
[[ -x $APIWARDEN ]] || fail "$APIWARDEN is missing: cargo build, or set APIWARDEN"
command -v python3 >/dev/null || fail "python3 is missing: install Python 3.11 or later"
if ! cmp -s "$here/requirements.txt" "$cache/requirements.txt"; then
    rm -rf "$cache"
    python3 -m venv "$cache"
    "$cache/bin/pip" install --quiet --requirement "$here/requirements.txt"
    cp "$here/requirements.txt" "$cache/"
fi

export APIWARDEN PYTHONDONTWRITEBYTECODE=1 APIWARDEN_FINGERPRINT_KEY="the tests of exports"
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
"$APIWARDEN" catalog build --input "$root/datasets/demo/egress.ndjson.zst" --store "$home/catalog"
PATH=$cache/bin:$PATH timeout 600 "$cache/bin/python" "$here/check.py" "$home"
