#!/usr/bin/env bash
# What people install and read: files parse, name only metrics that exist, and link only to pages that exist. `run.sh help` says how to run it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)

case ${1:-} in
help | -h | --help)
    cat <<END
Usage: tests/dist/run.sh

Needs Python 3.11 with PyYAML. Uses, where they are installed: promtool, systemd-analyze, kubectl, hadolint. What is missing is named.

Settings, from the environment:

  PROMTOOL  the promtool to use, default promtool (Debian: package prometheus)
  HADOLINT  the hadolint to use, default hadolint
END
    exit
    ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PROMTOOL=${PROMTOOL:-promtool} HADOLINT=${HADOLINT:-hadolint}

without() { echo "run.sh: without $1: $2"; }

PYTHONDONTWRITEBYTECODE=1 python3 "$here/check.py" "$root" "$work/expressions.yml"

if command -v "$PROMTOOL" >/dev/null; then
    "$PROMTOOL" check rules "$root/dist/prometheus/rules.yml" "$work/expressions.yml"
    "$PROMTOOL" test rules "$root/dist/prometheus/rules.test.yml"
else
    without promtool "rules and the dashboard's expressions are parsed as YAML and JSON alone, and no rule is tried"
fi

if command -v systemd-analyze >/dev/null; then
    sed 's#/usr/bin/apiwarden#/bin/true#' "$root/dist/systemd/apiwarden.service" >"$work/apiwarden.service"
    systemd-analyze verify "$work/apiwarden.service"
    # Tenths: 20 is 2.0, of 10.0 for a unit without any hardening.
    systemd-analyze security --offline=true --threshold=20 "$work/apiwarden.service" | tail -n 1
else
    without systemd-analyze "the unit is not verified"
fi

if command -v kubectl >/dev/null; then
    kubectl kustomize "$root/dist/kubernetes" >/dev/null
else
    without kubectl "manifests are parsed as YAML alone"
fi

if command -v "$HADOLINT" >/dev/null; then
    "$HADOLINT" "$root/dist/docker/Dockerfile"
else
    without hadolint "the Dockerfile is not checked"
fi
echo "1 passed, 0 failed"
