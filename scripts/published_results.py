#!/usr/bin/env python3
"""Trains small networks on tasks of the literature and compares the ordering of cells with what was published.

    swift build -c release
    python3 scripts/published_results.py [--lethe .build/release/lethe] [--quick]

Each line gives Lethe's median over three seeds beside the published figure. Exits with 1 where the ordering that a paper
claims does not hold for every seed: a cell that should solve a task stays below the bound, or one that should not passes it.
About two minutes on two cores; --quick takes the first three experiments. Steps, not seconds, so the
figures are the same on every machine.

Setups differ from the papers' where it says so; what is compared is which cell can learn what.
"""
import argparse
import json
import subprocess
import sys

# name, task, length, steps, hidden, cells that solve it, cells that do not, metric is an error, bounds, published
EXPERIMENTS = [
    # Width 8 where the source has 4: of three LSTMs of width 4 one stays at chance here. A wider RNN, at a lower rate,
    # learns it too (width 35, 0.005: 91 to 100 %): the claim is about this setup.
    dict(name="temporal order, 3 symbols, 50 steps, Adam 0.02", task="order", length=50, steps=1500, hidden=8,
         solve=["lstm", "gru"], fail=["rnn"], good=0.95, bad=0.6, match="width", rate="0.02",
         published="LSTM 100 % (5 of 5), RNN at chance (schmidhuber-problems; Hochreiter & Schmidhuber 1997, exp. 6)"),
    dict(name="parity, trained on 3-40, tested on 40-256 steps", task="parity", length=None, steps=3000, hidden=32,
         solve=["lstm", "slstm"], fail=["mingru", "minlstm", "hgrn"], good=0.95, bad=0.6, match="width",
         published="sLSTM and LSTM solve it, gates that do not look back do not (Beck et al. 2024; arXiv 2411.12537)"),
    dict(name="recall, 50 steps", task="recall", length=50, steps=1500, hidden=32,
         solve=["lstm", "gru", "janet"], fail=["ema"], good=0.95, bad=0.6, match="width",
         published="what a forget gate is for (Gers, Schmidhuber & Cummins 2000); an average forgets"),
    dict(name="adding, 100 steps, U(-1, 1)", task="adding", length=100, steps=8000, hidden=16,
         solve=["lstm", "gru"], fail=["rnn"], good=0.04, bad=0.1, error=True,
         published="LSTM .0007, RNN .07, constant .667 (schmidhuber-problems, H = 8, 8000 steps; LSTM 5 of 5 below .04)"),
    dict(name="search-space odyssey: adding, 50 steps", task="adding", length=50, steps=4000, hidden=12, match="width",
         solve=["lstm", "coupled", "peephole", "noaf", "niaf"], fail=["nig"], good=0.003, bad=0.0035, error=True,
         published="no input gate is worst, .012 against .003; CIFG and peepholes about vanilla (schmidhuber-problems)"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lethe", default=".build/release/lethe")
    parser.add_argument("--quick", action="store_true", help="the first three experiments")
    options = parser.parse_args()
    failed = False
    for e in EXPERIMENTS[:3] if options.quick else EXPERIMENTS:
        command = [options.lethe, "compare", "--task", e["task"], "--cells", ",".join(e["solve"] + e["fail"]),
                   "--steps", str(e["steps"]), "--hidden", str(e["hidden"]), "--seeds", "3", "--json",
                   "--match", e.get("match", "parameters")]
        if "rate" in e:
            command += ["--lr", e["rate"]]
        if e["length"]:
            command += ["--length", str(e["length"])]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            sys.exit(result.stderr.strip())
        print(f"{e['name']}  (published: {e['published']})")
        for line in result.stdout.splitlines():
            row = json.loads(line)
            solves = row["cell"] in e["solve"]
            error = e.get("error", False)
            reached = [value <= e["good"] if error else value >= e["good"] for value in row["values"]]
            passed = [value < e["bad"] if error else value > e["bad"] for value in row["values"]]
            ok = all(reached) if solves else not any(passed)
            failed |= not ok
            values = ", ".join(f"{value:.4f}" if error else f"{100 * value:.1f} %" for value in row["values"])
            print(f"  {row['cell']:10} {'should solve it' if solves else 'should not':16} {values}"
                  f"{'' if ok else '   DOES NOT HOLD'}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
