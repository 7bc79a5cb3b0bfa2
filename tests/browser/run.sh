#!/usr/bin/env bash
# Opens audit reports in a real browser, headless: nothing of a script runs or fails, nothing is fetched, and the page is readable at the width of a desk and of a
# phone, light and dark. `run.sh help` says how to run it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

fail() {
    echo "run.sh: $*" >&2
    exit 1
}

case ${1:-} in
help | -h | --help)
    cat <<END
Usage: tests/browser/run.sh [DIRECTORY]

  DIRECTORY  where to leave reports and screenshots, else they are deleted

Settings, from the environment:

  APIWARDEN  the binary, default debug/apiwarden in CARGO_TARGET_DIR or target
  CHROMIUM   the browser, default chromium; installed by apt-get where it is missing
END
    exit
    ;;
esac

APIWARDEN=${APIWARDEN:-${CARGO_TARGET_DIR:-$root/target}/debug/apiwarden}
[[ -x $APIWARDEN ]] || fail "$APIWARDEN is missing: cargo build, or set APIWARDEN"
CHROMIUM=${CHROMIUM:-chromium}
if ! command -v "$CHROMIUM" >/dev/null; then
    apt-get update || echo "run.sh: the package lists could not be updated: using those that are there" >&2
    apt-get install -y --no-install-recommends chromium fonts-dejavu-core </dev/null >/dev/null || fail "chromium cannot be installed: install it, or set CHROMIUM"
fi
command -v python3 >/dev/null || fail "python3 is missing: install Python 3.11 or later"
export APIWARDEN CHROMIUM PYTHONDONTWRITEBYTECODE=1 APIWARDEN_FINGERPRINT_KEY="the tests in a browser"

if [[ -n ${1:-} ]]; then
    mkdir -p "$1"
    directory=$(cd "$1" && pwd)
else
    directory=$(mktemp -d)
    trap 'rm -rf "$directory"' EXIT
fi
python3 "$here/check.py" "$directory"
