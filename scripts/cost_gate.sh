#!/bin/sh
# Counts the instructions and allocations of a streaming step and of training steps, and compares them with those on
# record: unlike times, counts are the same on every run.
#
#   scripts/cost_gate.sh            fails when a step allocates more, or takes 3 % more instructions, than Benchmarks/costs.txt
#   scripts/cost_gate.sh --update   writes Benchmarks/costs.txt
#
# Needs valgrind, which knows AVX2 but not AVX-512; without it the script says so and skips. $LETHE is the program to
# count, .build/release/lethe by default.
set -eu

cd "$(dirname "$0")/.."
record=Benchmarks/costs.txt
program=${LETHE:-.build/release/lethe}
command -v valgrind > /dev/null || { echo "cost_gate: skipped, valgrind is not installed"; exit 0; }
[ -x "$program" ] || { echo "cost_gate: $program is missing; run swift build -c release" >&2; exit 2; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
# Valgrind does not read the debug information of every compiler.
strip -S -o "$work/lethe" "$program"
export LETHE_ISA=avx2 SWIFT_DETERMINISTIC_HASHING=1

# The costs of one repeat: those of many repeats less those of few, shared out.
count() {
  name=$1 few=$2 many=$3
  shift 3
  for repeats in "$few" "$many"; do
    set -- "$@" --repeats "$repeats" --threads 1 --json
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$work/lethe" bench "$@" > "$work/log" 2>&1 ||
      { cat "$work/log" >&2; exit 2; }
    sed -n 's/.*Collected : //p' "$work/log" >> "$work/instructions"
    valgrind --tool=memcheck --leak-check=no --undef-value-errors=no "$work/lethe" bench "$@" > "$work/log" 2>&1 ||
      { cat "$work/log" >&2; exit 2; }
    sed -n 's/.*total heap usage: \([0-9,]*\) allocs.*/\1/p' "$work/log" | tr -d , >> "$work/allocations"
    # Options given twice: the last one counts.
  done
  awk -v name="$name" -v repeats=$((many - few)) '
    FNR == 1 { file++ }
    file == 1 { instructions[FNR] = $1 }
    file == 2 { allocations[FNR] = $1 }
    END {
      printf "%s %.0f %.1f\n", name, (instructions[2] - instructions[1]) / repeats,
        (allocations[2] - allocations[1]) / repeats
    }' "$work/instructions" "$work/allocations" >> "$work/costs"
  rm "$work/instructions" "$work/allocations"
}

: > "$work/costs"
for cell in lstm gru rnn; do
  count "$cell-stream" 200 1200 --mode stream --cell $cell --input 24 --hidden 40
  count "$cell-train" 4 24 --mode train --cell $cell --batch 5 --time 12 --input 9 --hidden 40
  count "$cell-infer" 4 24 --mode infer --cell $cell --batch 5 --time 12 --input 9 --hidden 40
done
count lstm-ragged 4 24 --mode train --cell lstm --batch 5 --time 12 --input 9 --hidden 40 --ragged
count lstm-plain 4 24 --mode infer --cell lstm --batch 8 --time 20 --input 28 --hidden 64
count lstm-record 4 24 --mode record --cell lstm --batch 8 --time 20 --input 28 --hidden 64
count lstm-adam 4 24 --mode adam --cell lstm --batch 5 --time 12 --input 9 --hidden 40
count mlstm-stream 200 1200 --mode stream --cell mlstm --input 24 --hidden 40
count mlstm-train 4 24 --mode train --cell mlstm --batch 5 --time 12 --input 9 --hidden 40
count qrnn-train 4 24 --mode train --cell qrnn --batch 5 --time 12 --input 9 --hidden 40
count peephole-train 4 24 --mode train --cell peephole --batch 5 --time 12 --input 9 --hidden 40
count forecaster 200 1200 forecaster
count fgn-stream 200 1200 --mode stream --cell fgn --input 24 --hidden 40

if [ "${1:-}" = --update ]; then
  { echo "# step, instructions, allocations: scripts/cost_gate.sh --update"; cat "$work/costs"; } > "$record"
  cat "$record"
  exit 0
fi
awk '
  /^#/ { next }
  FILENAME == ARGV[1] { instructions[$1] = $2; allocations[$1] = $3; next }
  {
    verdict = "ok"
    if (!($1 in instructions)) { verdict = "not on record" }
    else if ($3 > allocations[$1] + 0.5) { verdict = "ALLOCATES MORE" }
    else if ($2 > instructions[$1] * 1.03) { verdict = "MORE INSTRUCTIONS" }
    if (verdict != "ok") failed = 1
    own[$1] = $2
    printf "%-14s %9d instructions (%9d on record) %6.1f allocations (%6.1f)  %s\n", $1, $2, instructions[$1], $3,
      allocations[$1], verdict
  }
  END {
    # To record every gate and state is promised for at most 1.3 forward passes.
    ratio = own["lstm-record"] / own["lstm-plain"]
    printf "recording takes %.2f times the instructions of a forward pass\n", ratio
    if (ratio > 1.3) failed = 1
    exit failed
  }' "$record" "$work/costs" ||
  { echo "cost_gate: a step costs more than on record; mend it, or say why and run with --update" >&2; exit 1; }
