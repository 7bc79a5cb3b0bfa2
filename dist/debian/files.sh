#!/usr/bin/env bash
# Writes completions and man pages for the package, from the program's own help: files.sh BINARY DIRECTORY. Needs help2man.
set -euo pipefail

binary=$1 directory=$2
mkdir -p "$directory"
"$binary" completions bash >"$directory/apiwarden.bash"
"$binary" completions zsh >"$directory/_apiwarden"
"$binary" completions fish >"$directory/apiwarden.fish"

page() {
    local name=$1
    shift
    help2man --no-info --no-discard-stderr --version-string="$version" --name="$("${@}" --help | head -n 1)" --output="$directory/$name.1" "$*"
}

version=$("$binary" --version | cut -d ' ' -f 2)
page apiwarden "$binary"
# The commands, as the help lists them.
"$binary" --help | awk '/^Commands:/ {on = 1; next} /^$/ {on = 0} on && /^  [a-z]/ && $1 != "help" {print $1}' | while read -r command; do
    page "apiwarden-$command" "$binary" "$command" </dev/null
done
