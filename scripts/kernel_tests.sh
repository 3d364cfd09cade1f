#!/bin/sh
# Compiles and runs the tests of CLetheKernels (Tests/Kernels) by the Swift toolchain's clang, or by $CC.
#
#   scripts/kernel_tests.sh             on this machine: every instruction set it has
#   scripts/kernel_tests.sh --small     the same with fewer sizes
#   scripts/kernel_tests.sh --arm64     cross-compiled, run by qemu with fewer sizes; the digest is that of --small
#   scripts/kernel_tests.sh --sanitize  with the address and undefined-behaviour sanitizers
#   scripts/kernel_tests.sh --threads   with the thread sanitizer and fewer sizes (Linux, the toolchain's clang)
#
# --arm64 needs gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user-static; without them it says so and skips.
set -eu

cd "$(dirname "$0")/.."
mode=${1:-native}

if [ -z "${CC:-}" ]; then
  swift=$(command -v swift) || { echo "kernel_tests: no swift in PATH, and CC is not set" >&2; exit 2; }
  CC=$(dirname "$(readlink -f "$swift")")/clang
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

flags="-std=gnu17 -O2 -Wall -Wextra -Werror -ffp-contract=off -ISources/CLetheKernels/include -ITests/Kernels"

# One object a source file, as many compilers at a time as there are processors.
compile() {
  printf '%s\n' Sources/CLetheKernels/*.c Tests/Kernels/*.c | xargs -P "$(getconf _NPROCESSORS_ONLN)" -I{} \
    sh -c 'to=$1 from=$2; shift 2; exec "$@" -c "$from" -o "$to/$(basename "$from" .c).o"' \
    sh "$work" {} "$CC" $flags "$@"
}

case $mode in
  native)
    compile
    "$CC" "$work"/*.o -o "$work/kernel_tests" -lm -pthread
    "$work/kernel_tests"
    ;;
  --small)
    compile
    "$CC" "$work"/*.o -o "$work/kernel_tests" -lm -pthread
    "$work/kernel_tests" --small
    ;;
  --sanitize)
    compile -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined
    "$CC" -fsanitize=address,undefined "$work"/*.o -o "$work/kernel_tests" -lm -pthread
    "$work/kernel_tests"
    ;;
  --threads)
    # The toolchain's thread sanitizer knows libdispatch, so it wants it.
    runtime=$(dirname "$CC")/../lib/swift/linux
    compile -g -O1 -fsanitize=thread
    "$CC" -fsanitize=thread -fuse-ld=lld "$work"/*.o -o "$work/kernel_tests" -lm -pthread \
      -L"$runtime" -ldispatch -lBlocksRuntime -Wl,-rpath,"$runtime"
    "$work/kernel_tests" --small
    ;;
  --arm64)
    for tool in aarch64-linux-gnu-gcc qemu-aarch64-static; do
      command -v $tool > /dev/null || { echo "kernel_tests: skipped, $tool is not installed"; exit 0; }
    done
    headers=/usr/aarch64-linux-gnu/include
    [ -d "$headers" ] || { echo "kernel_tests: skipped, libc6-dev-arm64-cross is not installed"; exit 0; }
    compile --target=aarch64-linux-gnu -isystem "$headers"
    aarch64-linux-gnu-gcc -static "$work"/*.o -o "$work/kernel_tests" -lm -pthread
    qemu-aarch64-static "$work/kernel_tests" --small
    ;;
  *)
    echo "usage: scripts/kernel_tests.sh [--small | --arm64 | --sanitize | --threads]" >&2
    exit 2
    ;;
esac
