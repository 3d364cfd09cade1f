#!/usr/bin/env python3
"""Times Lethe beside PyTorch, Flax, Keras, ONNX Runtime and OpenVINO: contenders in turn, medians of medians.

  swift build -c release
  python3 Benchmarks/compare_peers.py                       the grid on one core (about half an hour)
  python3 Benchmarks/compare_peers.py --quick               three shapes and two streams (about three minutes)
  python3 Benchmarks/compare_peers.py --threads 2           two cores
  python3 Benchmarks/compare_peers.py --models              training steps of two whole models beside PyTorch's
  python3 Benchmarks/compare_peers.py --linear              three gated linear recurrences beside JAX's lax.scan
  python3 Benchmarks/compare_peers.py --extras              ragged batches, two threads, latency, memory, start; no peers
  python3 Benchmarks/compare_peers.py --cells gru --modes infer --json > rows.jsonl

The peers are installed once, by pip, into --environment (a throw-away folder; about 3 GB). A training step is forward
with all outputs, mean squared error, and backward with the gradients of all weights and of the input; adam adds the
optimizer's step. infer is the outputs of whole sequences. A streaming step is one step at batch 1 with the state
carried; ONNX Runtime and OpenVINO are called with bound inputs and outputs, their quickest way. With one thread all are pinned to one core; --rounds says how often each contender is asked in turn. A ratio is
the best peer's time over Lethe's. Needs an idle machine.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

GRID = [(1, 100, 32, 32), (32, 28, 28, 128), (100, 28, 28, 128), (32, 100, 64, 64), (32, 100, 128, 256),
        (64, 35, 200, 200), (20, 35, 650, 650), (64, 100, 512, 512), (128, 50, 1024, 1024), (16, 1000, 2, 128),
        (8, 784, 1, 128)]
ODD = [(7, 333, 40, 160), (48, 60, 96, 384), (256, 20, 300, 300), (3, 50, 17, 33)]
LINEAR = [(16, 1000, 128, 128), (8, 4096, 256, 256)]
QUICK = [(32, 28, 28, 128), (32, 100, 128, 256), (64, 35, 200, 200)]
WIDTHS = [16, 32, 64, 128, 256, 512, 1024]
PEERS = {"train": ["torch", "flax", "keras"], "adam": ["torch"], "infer": ["torch", "onnxruntime", "openvino"],
         "stream": ["onnxruntime", "openvino"]}
PACKAGES = ["torch", "flax", "jax", "keras", "tensorflow-cpu", "onnx", "onnxruntime", "openvino", "numpy"]
HERE = os.path.dirname(os.path.abspath(__file__))


def peers_python(folder):
    """The interpreter of an environment that has the peers."""
    python, complete = os.path.join(folder, "bin", "python"), os.path.join(folder, "complete")
    if not os.path.exists(complete):
        print(f"installing the peers into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
        open(complete, "w").close()
    return python


class Peer:
    """A worker process that stays, so that each library is loaded once."""

    def __init__(self, name, python, threads):
        pin = ["taskset", "-c", "0"] if threads == 1 else []
        self.process = subprocess.Popen(
            pin + [python, os.path.join(HERE, "peer_worker.py"), name, str(threads)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.version = self.answer()["version"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a peer has ended; run peer_worker.py by hand to see why")
        return json.loads(line)

    def ask(self, **job):
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return self.answer()["seconds"]


def lethe(options, threads, *arguments):
    pin = ["taskset", "-c", "0"] if threads == 1 else []
    command = pin + [options.lethe, "bench", "--threads", str(threads), "--json", *map(str, arguments)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def lethe_row(options, threads, mode, cell, shape, *more):
    arguments = ["--cell", cell, "--mode", mode, "--seconds", options.seconds, "--input", shape[2], "--hidden", shape[3]]
    if mode not in ("stream", "latency"):
        arguments += ["--batch", shape[0], "--time", shape[1]]
    return lethe(options, threads, *arguments, *more)


def amount(seconds):
    for unit, scale in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1:
            break
    return f"{seconds * scale:.3g} {unit}"


def compare(options, threads, mode, cell, shapes, peers):
    """Prints a table; returns its rows."""
    rows = []
    names = list(peers)
    if not options.json:
        print(f"\n{mode} {cell}, {threads} thread{'s' if threads > 1 else ''}\n")
        print("| batch, time, input, hidden | Lethe | of peak | best peer | its time | ratio |\n|---|---|---|---|---|---|")
    for shape in shapes:
        times, shares, handovers = {name: [] for name in ["lethe"] + names}, [], []
        for _ in range(options.rounds):
            own = lethe_row(options, threads, mode, cell, shape)
            times["lethe"].append(own["median_seconds"])
            shares.append(own["gflops"] / own["peak_gflops"])
            handovers.append(own.get("handover_seconds") or 0)
            for name in names:
                times[name].append(peers[name].ask(mode=mode, cell=cell, shape=shape, seconds=options.seconds))
        medians = {name: statistics.median(found) for name, found in times.items()}
        best = min(names, key=medians.get)
        row = {"mode": mode, "cell": cell, "shape": shape, "threads": threads, "isa": own["isa"], "seconds": medians,
               "share_of_peak": statistics.median(shares), "best_peer": best, "ratio": medians[best] / medians["lethe"],
               "handover_seconds": statistics.median(handovers) if threads > 1 else None}
        rows.append(row)
        if options.json:
            print(json.dumps(row), flush=True)
        else:
            print(f"| {', '.join(map(str, shape))} | {amount(medians['lethe'])} | {row['share_of_peak'] * 100:.0f} % | "
                  f"{best} | {amount(medians[best])} | {row['ratio']:.2f} |", flush=True)
    mean = math.exp(statistics.fmean(math.log(row["ratio"]) for row in rows))
    short = [row for row in rows if row["ratio"] < 1]
    if not options.json:
        print(f"\ngeometric mean {mean:.2f}; rows below 1: "
              + (", ".join(f"{tuple(row['shape'])} {row['ratio']:.2f}" for row in short) or "none"))
        if threads > 1:
            print(f"hand-over between the cores: {amount(statistics.median(r['handover_seconds'] for r in rows))}")
    return rows


def models(options, python):
    """Training steps of whole models beside PyTorch's."""
    torch = Peer("torch", python, options.threads)
    print(f"peer: {torch.version}\n\n| model | Lethe, an epoch | torch, an epoch | ratio |\n|---|---|---|---|")
    for name in ("mnist", "ptb"):
        times = {"lethe": [], "torch": []}
        for _ in range(options.rounds):
            own = lethe(options, options.threads, name, "--seconds", options.seconds)
            times["lethe"].append(own["median_seconds"])
            times["torch"].append(torch.ask(model=name, seconds=options.seconds))
        medians = {key: statistics.median(found) for key, found in times.items()}
        steps = own["epoch_seconds"] / own["median_seconds"]
        print(f"| {name} | {amount(medians['lethe'] * steps)} | {amount(medians['torch'] * steps)} | "
              f"{medians['torch'] / medians['lethe']:.2f} |", flush=True)


def linear(options, python):
    """Cells whose gates do not look back beside JAX's lax.scan, one core each; then two threads of Lethe."""
    jax = Peer("jax", python, 1)
    print(f"peer: {jax.version}\n\n| cell | batch, time, input, hidden | Lethe | of peak | lax.scan | ratio | two threads over one | "
          "hand-over |\n|---|---|---|---|---|---|---|---|")
    for cell in ("qrnn", "mingru", "minlstm"):
        for shape in LINEAR:
            one, scan, gains, shares, handovers = [], [], [], [], []
            for _ in range(options.rounds):
                own, two = (lethe_row(options, n, "train", cell, shape) for n in (1, 2))
                one.append(own["median_seconds"])
                shares.append(own["gflops"] / own["peak_gflops"])
                gains.append(own["median_seconds"] / two["median_seconds"])
                handovers.append(two["handover_seconds"])
                scan.append(jax.ask(mode="train", cell=cell, shape=shape, seconds=options.seconds))
            middle = statistics.median
            print(f"| {cell} | {', '.join(map(str, shape))} | {amount(middle(one))} | {middle(shares) * 100:.0f} % | "
                  f"{amount(middle(scan))} | {middle(scan) / middle(one):.2f} | {middle(gains):.2f} | "
                  f"{amount(middle(handovers))} |", flush=True)


def extras(options):
    """What has no peer, or none worth the name: each figure beside the one it is a ratio to."""
    print("| what | figure |\n|---|---|")
    for cell in ("lstm", "gru"):
        for shape in QUICK + [(16, 300, 40, 160)]:
            ratios = []
            for _ in range(options.rounds):
                full, ragged = (lethe_row(options, 1, "train", cell, shape, *more) for more in ((), ("--ragged",)))
                ratios.append(ragged["median_seconds"] / ragged["real_steps"] / full["median_seconds"] * full["real_steps"])
            print(f"| {cell} train {shape}: time of a real step, ragged over full | {statistics.median(ratios):.2f} |", flush=True)
    for cell in ("lstm", "gru"):
        for shape in GRID[1:8]:
            ratios = []
            for _ in range(options.rounds):
                one, two = (lethe_row(options, n, "train", cell, shape)["median_seconds"] for n in (1, 2))
                ratios.append(one / two)
            print(f"| {cell} train {shape}: two threads over one | {statistics.median(ratios):.2f} |", flush=True)
    for width in (32, 128):
        own = lethe(options, 1, "--mode", "latency", "--input", width, "--hidden", width, "--repeats", 1_000_000)
        print(f"| lstm stream of {width}, 10^6 steps: median, 99.9 %, slowest; system allocations | "
              f"{amount(own['median_seconds'])}, {amount(own['p999_seconds'])}, {amount(own['max_seconds'])}; "
              f"{own['system_allocations']} |", flush=True)
    for cell in ("lstm", "gru"):
        own = lethe(options, 2, "--cell", cell, "--mode", "train", "--batch", 64, "--time", 100, "--input", 512,
                    "--hidden", 512, "--repeats", 3)
        print(f"| {cell} train (64, 100, 512, 512): growth of memory in three steps | "
              f"{own['memory_growth_bytes'] / 1e6:.0f} MB |", flush=True)
    times = []
    for _ in range(21):
        before = time.perf_counter()
        subprocess.run([options.lethe, "--version"], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - before)
    # By way of a program smaller than this one, whose own memory would count.
    said = subprocess.run(["/usr/bin/time", "-f", "%M", options.lethe, "--version"], capture_output=True, text=True)
    print(f"| lethe --version: time, memory | {amount(statistics.median(times))}, {int(said.stderr) / 1024:.0f} MiB |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lethe", default=".build/release/lethe", help="the program (%(default)s)")
    parser.add_argument("--environment", default=os.path.join(tempfile.gettempdir(), "lethe-peers"),
                        help="folder of the peers' Python environment (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="for how long each contender repeats (%(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cells", nargs="+", default=["lstm", "gru"], choices=["lstm", "gru"])
    parser.add_argument("--modes", nargs="+", default=["train", "infer", "stream"], choices=list(PEERS))
    names = sorted({name for names in PEERS.values() for name in names})
    parser.add_argument("--peers", nargs="+", default=names, choices=names)
    parser.add_argument("--quick", action="store_true", help="three shapes, two widths")
    parser.add_argument("--odd", action="store_true", help="the four odd shapes instead of the grid")
    parser.add_argument("--models", action="store_true", help="two whole models instead")
    parser.add_argument("--linear", action="store_true", help="three gated linear recurrences instead")
    parser.add_argument("--extras", action="store_true", help="the figures without peers instead")
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    options = parser.parse_args()
    if options.extras or options.models or options.linear:
        given = [word for word in sys.argv[1:] if word.split("=")[0] in ("--cells", "--modes", "--json", "--quick", "--odd")]
        if given:
            parser.error(f"{given[0]} does not go with --extras, --models and --linear")
    if options.extras:
        return extras(options)
    python = peers_python(options.environment)
    if options.models:
        return models(options, python)
    if options.linear:
        return linear(options, python)
    wanted = sorted({(name, 1 if mode == "stream" else options.threads)
                     for mode in options.modes for name in PEERS[mode] if name in options.peers})
    peers = {(name, threads): Peer(name, python, threads) for name, threads in wanted}
    if not options.json:
        print("peers: " + ", ".join(sorted({peer.version for peer in peers.values()})))
    shapes = QUICK if options.quick else ODD if options.odd else GRID
    widths = [32, 128] if options.quick else WIDTHS
    for mode in options.modes:
        for cell in options.cells:
            rows = [(1, 1, width, width) for width in widths] if mode == "stream" else shapes
            threads = 1 if mode == "stream" else options.threads
            own = {name: peer for (name, count), peer in peers.items() if count == threads and name in PEERS[mode]}
            if own:
                compare(options, threads, mode, cell, rows, own)


if __name__ == "__main__":
    main()
