#!/usr/bin/env bash
# The one check command: formatting, a build without warnings, all tests, the kernel tests.
# Usage: scripts/check.sh [--quick]     --quick leaves out the kernel tests
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== format"
swift format lint --strict --recursive --parallel Package.swift Sources Tests

echo "== build"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
swift build -c release --build-tests 2>&1 | tee "$log"
if grep -E "warning:" "$log"; then
  echo "check: the build has warnings; expected none" >&2
  exit 1
fi

echo "== tests"
swift test -c release

if [ "${1:-}" != --quick ]; then
  echo "== kernel tests, every instruction set of this machine"
  scripts/kernel_tests.sh
fi
