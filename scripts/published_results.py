#!/usr/bin/env python3
"""Trains small networks on tasks of the literature and compares the ordering of cells with what was published.

    swift build -c release
    python3 scripts/published_results.py [--lethe .build/release/lethe] [--quick | --long] [--only TEXT] [--data FOLDER]
                                         [--threads N]

Each line gives Lethe's figures for three seeds beside the published one. Exits with 1 where the ordering that a paper
claims does not hold for every seed: a cell that should solve a task stays below the bound, or one that should not passes it.
About a quarter of an hour of one core; --quick takes the first three experiments, --long also those that take half an hour
together, --only those with TEXT in their name; MNIST wants the folder with its four files. Steps, not seconds, so the figures
are the same on every machine.

Setups differ from the papers' where it says so; what is compared is which cell can learn what.
"""
import argparse
import json
import subprocess
import sys

# name, task, length, steps, hidden, cells that solve it, cells that do not, others to show, pairs of which the first learns
# sooner (median steps to the task's goal), metric is an error, bounds, published
EXPERIMENTS = [
    # Width 8 where the source has 4: of three LSTMs of width 4 one stays at chance here. A wider RNN, at a lower rate,
    # learns it too (width 35, 0.005: 91 to 100 %): the claim is about this setup.
    dict(name="temporal order, 3 symbols, 50 steps, Adam 0.02", task="order", length=50, steps=1500, hidden=8,
         solve=["lstm", "gru"], fail=["rnn"], good=0.95, bad=0.6, match="width", rate="0.02",
         published="LSTM 100 % (5 of 5), RNN at chance (schmidhuber-problems; Hochreiter & Schmidhuber 1997, exp. 6)"),
    dict(name="parity, trained on 3-40, tested on 40-256 steps", task="parity", length=None, steps=3000, hidden=32,
         solve=["lstm", "slstm"], fail=["mlstm", "mingru", "minlstm", "hgrn"], good=0.95, bad=0.6, match="width",
         published="sLSTM and LSTM solve it, mLSTM and gates that do not look back do not (Beck et al. 2024)"),
    dict(name="recall, 50 steps", task="recall", length=50, steps=1500, hidden=32,
         solve=["lstm", "gru", "janet"], fail=["ema"], good=0.95, bad=0.6, match="width",
         published="what a forget gate is for (Gers, Schmidhuber & Cummins 2000); an average forgets"),
    dict(name="adding, 100 steps, U(-1, 1)", task="adding", length=100, steps=8000, hidden=16,
         solve=["lstm", "gru"], fail=["rnn"], good=0.04, bad=0.1, error=True,
         published="LSTM .0007, RNN .07, constant .667 (schmidhuber-problems, H = 8, 8000 steps; LSTM 5 of 5 below .04)"),
    dict(name="search-space odyssey: adding, 50 steps", task="adding", length=50, steps=4000, hidden=12, match="width",
         solve=["lstm", "coupled", "peephole", "noaf", "niaf"], fail=["nig"], good=0.003, bad=0.0035, error=True,
         published="no input gate is worst, .012 against .003; CIFG and peepholes about vanilla (schmidhuber-problems)"),
    dict(name="embedded Reber, Adam 0.01", task="reber", length=None, steps=1500, hidden=8, match="width", rate="0.01",
         solve=["lstm"], fail=["ema"], good=0.99, bad=0.7,
         published="LSTM, H = 8: 10 of 10 seeds (schmidhuber-problems; Hochreiter & Schmidhuber 1997, exp. 1)"),
    dict(name="continual embedded Reber, streams of 600 steps, tested on 5000", task="reber-continual", length=600,
         steps=500, hidden=12, match="width", rate="0.01", solve=["lstm"], fail=["nfg"], good=0.99, bad=0.7,
         published="outer T/P 99.7 % with forget gate, 55 % without (schmidhuber-problems; Gers et al. 2000)"),
    # The share of n = 11 to 100, without multiples of 3, that is right at every step: 0.9 is right up to n = 91.
    dict(name="a^n b^n, trained on n up to 10", task="anbn", length=None, steps=10000, hidden=2, match="width",
         rate="0.01", solve=["peephole"], fail=["gru"], show=["lstm"], good=0.6, bad=0.1,
         published="peephole LSTM generalises to n = 65-100 (schmidhuber-problems; Gers & Schmidhuber 2001: further); "
                   "GRUs do not count (Weiss et al. 2018)"),
    dict(name="a^n b^n c^n, trained on n up to 10", task="anbncn", length=None, steps=12000, hidden=3, match="width",
         rate="0.01", solve=["peephole"], fail=["gru"], show=["lstm"], good=0.03, bad=0.02,
         published="peephole LSTM generalises to n = 18-29, which is 0.08 to 0.2 here (schmidhuber-problems)"),
    dict(name="selective copying, 4 tokens among 32 steps, 3 layers", task="copying", length=32, steps=2000, hidden=32,
         match="width", rate="0.01", layers=3, solve=["mingru", "minlstm"], fail=["ema"], good=0.95, bad=0.6,
         published="3 layers, 16 tokens among 4096: minGRU 99.5, minLSTM 96.0, S4, whose decay sees no input, 18.3 "
                   "(arXiv 2410.01201)"),
    dict(name="selective copying, the same with 1 layer", task="copying", length=32, steps=2000, hidden=32,
         match="width", rate="0.01", solve=["gru"], fail=["mingru", "minlstm"], show=["lstm"], good=0.95, bad=0.7,
         published="gates that do not look back need more than one layer (arXiv 2410.01201)"),
    # At a rate of 0.005 one of three seeds stays at 74 %, at 0.01 one at 67 %.
    dict(name="Gated DeltaNet on parity, Adam 0.02", task="parity", length=None, steps=3000, hidden=32, match="width",
         rate="0.02", solve=["deltanet_negative"], fail=["deltanet"], good=0.9, bad=0.6,
         published="solves it with negative eigenvalues only (Grazzi et al. 2024, arXiv 2411.12537)"),
    # Regular languages, learned from 3 to 40 symbols, tested on 40 to 256. What a plain RNN learns here within these steps is
    # less than in the paper, so nothing is claimed of it.
    dict(name="regular languages: even pairs", task="even-pairs", length=None, steps=3000, hidden=32, match="width",
         solve=["lstm", "gru"], fail=["mingru", "minlstm"], good=0.95, bad=0.6,
         published="LSTMs solve regular languages, tested up to 500 symbols (Deletang et al. 2023)"),
    dict(name="regular languages: walks on a ring of five, Adam 0.01", task="cycle", length=None, steps=10000, hidden=32,
         match="width", rate="0.01", solve=["lstm", "slstm"], fail=["mingru", "minlstm", "hgrn"], show=["gru", "rnn"],
         good=0.95, bad=0.4, published="LSTMs solve regular languages, tested up to 500 symbols (Deletang et al. 2023)"),
    dict(name="regular languages: arithmetic modulo 5, Adam 0.01", task="modular", length=None, steps=20000, hidden=32,
         match="width", rate="0.01", solve=["lstm"], fail=["mingru", "minlstm"], good=0.9, bad=0.4,
         published="LSTMs solve regular languages, tested up to 500 symbols (Deletang et al. 2023)"),
    # The study's own note: peepholes were ahead for some seeds and behind for others. Here they are behind.
    dict(name="timed spikes, 150 steps, Adam 0.01", task="spikes", length=150, steps=3000, hidden=8, match="width",
         rate="0.01", solve=["lstm", "peephole"], fail=["rnn"], good=0.8, bad=0.1,
         published="exactly timed: peephole LSTM 99.8 %, plain 90.0 %, of one seed (schmidhuber-problems; Gers et al. 2002)"),
    # That the task can be learned at all shows in the short form.
    dict(name="copy memory, a wait of 5 steps, Adam 0.01", task="copy-memory", length=5, steps=2000, hidden=32,
         match="width", rate="0.01", solve=["lstm", "gru"], fail=[], good=0.6, bad=0,
         published="the next line, made easy"),
    dict(name="copy memory, a wait of 100 steps, Adam 0.01", task="copy-memory", length=100, steps=2000, hidden=32,
         match="width", rate="0.01", solve=[], fail=["lstm", "gru"], show=["deltanet", "mlstm"], good=1, bad=0.15,
         published="1,000 steps: LSTM, GRU and RNN as good as who remembers nothing (Bai et al. 2018), which is 12.5 % here"),
    dict(name="forget bias: temporal order, 60 steps", task="order", length=60, steps=5000, hidden=8, match="width",
         rate="0.01", solve=["nfg", "lstm_bias5", "lstm", "lstm_chrono"], fail=[], show=["lstm_bias0"],
         sooner=[("lstm_bias5", "lstm"), ("lstm_chrono", "lstm_bias5")], good=0.95, bad=0,
         published="a bias of 5 is as fast as no gate, 1 takes about 3 times as long (Gers et al., as quoted; lag 80)"),
]

LONG = [
    dict(name="adding, 600 steps, U(-1, 1)", task="adding", length=600, steps=6000, hidden=32, solve=["gru"],
         fail=["rnn"], show=["lstm"], good=0.04, bad=0.3, error=True,
         published="U(0, 1): GRU 5.3e-5, LSTM .164, RNN .177, constant .1767 (Bai et al. 2018): the LSTM's failure is one "
                   "of its setup"),
    dict(name="a^n b^n c^n, 40000 steps", task="anbncn", length=None, steps=40000, hidden=3, match="width", rate="0.01",
         solve=["peephole"], fail=["gru"], show=["lstm"], good=0.03, bad=0.02,
         published="peephole LSTM generalises to n = 18-29, which is 0.08 to 0.2 here (schmidhuber-problems)"),
    dict(name="MNIST, means of 2 x 2 pixels, one a step", task="mnist-means", length=None, steps=3000, hidden=64,
         match="width", rate="0.002,0.01", solve=["gru"], fail=["rnn"], show=["lstm"], good=0.9, bad=0.75, needs_data=True,
         published="784 pixels: LSTM 87.2 to 98.5, GRU 96.2, RNN 21.5 % (Bai et al. 2018; arXiv 1804.04849)"),
    # Permuted, 196 steps are no harder for a plain RNN, which starts orthogonal here: nothing is claimed of it.
    dict(name="MNIST, the same permuted", task="mnist-means-permuted", length=None, steps=3000, hidden=64,
         match="width", rate="0.002,0.01", solve=["gru", "lstm"], fail=[], show=["rnn"], good=0.8, bad=0, needs_data=True,
         published="784 pixels: LSTM 85.7 to 91, GRU 87.3, RNN 25.3 % (Bai et al. 2018; arXiv 1804.04849)"),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lethe", default=".build/release/lethe")
    parser.add_argument("--quick", action="store_true", help="the first three experiments")
    parser.add_argument("--long", action="store_true", help="also the long ones")
    parser.add_argument("--threads", default="", help="as in lethe compare; results do not depend on it", metavar="N")
    parser.add_argument("--only", default="", help="those with this in their name", metavar="TEXT")
    parser.add_argument("--data", help="the folder with MNIST's files", metavar="FOLDER")
    options = parser.parse_args()
    failed, done = False, 0
    for e in EXPERIMENTS[:3] if options.quick else EXPERIMENTS + LONG * options.long:
        if options.only not in e["name"]:
            continue
        done += 1
        if e.get("needs_data") and not options.data:
            print(f"{e['name']}: left out, needs --data")
            continue
        sooner = e.get("sooner", [])
        cells = list(dict.fromkeys(e["solve"] + e["fail"] + e.get("show", []) + sum(map(list, sooner), [])))
        command = [options.lethe, "compare", "--task", e["task"], "--cells", ",".join(cells),
                   "--steps", str(e["steps"]), "--hidden", str(e["hidden"]), "--seeds", "3", "--json",
                   "--match", e.get("match", "parameters"), "--layers", str(e.get("layers", 1))]
        if options.threads:
            command += ["--threads", options.threads]
        if "rate" in e:
            command += ["--lr", e["rate"]]
        if e["length"]:
            command += ["--length", str(e["length"])]
        if e.get("needs_data"):
            command += ["--data", options.data]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            sys.exit(result.stderr.strip())
        print(f"{e['name']}  (published: {e['published']})")
        goals = {}
        for line in result.stdout.splitlines():
            row = json.loads(line)
            cell, error = row["cell"], e.get("error", False)
            goals[cell] = row["goal_steps"] or float("inf")
            reached = [value <= e["good"] if error else value >= e["good"] for value in row["values"]]
            passed = [value < e["bad"] if error else value > e["bad"] for value in row["values"]]
            claim, ok = "", True
            if cell in e["solve"]:
                claim, ok = "should solve it", all(reached)
            elif cell in e["fail"]:
                claim, ok = "should not", not any(passed)
            failed |= not ok
            values = ", ".join(f"{value:.4f}" if error else f"{100 * value:.1f} %" for value in row["values"])
            if sooner:
                values += f"; {row['goal_steps'] or 'too many'} steps"
            print(f"  {cell:17} {claim:16} {values}{'' if ok else '   DOES NOT HOLD'}", flush=True)
        for first, second in sooner:
            ok = goals[first] < goals[second]
            failed |= not ok
            print(f"  {first} should learn sooner than {second}{'' if ok else '   DOES NOT HOLD'}", flush=True)
    if not done:
        parser.error(f"no experiment has {options.only!r} in its name; --long has more")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
