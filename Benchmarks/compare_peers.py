#!/usr/bin/env python3
"""Times Lethe beside PyTorch, Flax and ONNX Runtime on one core, contenders alternating, medians of medians.

  python3 -m venv peers && peers/bin/pip install torch flax jax onnx onnxruntime numpy
  swift build -c release
  peers/bin/python Benchmarks/compare_peers.py --lethe .build/release/lethe

A training step is forward with all outputs, mean squared error, and backward with the gradients of all weights
(and, but for Flax, of the input). A streaming step is one step at batch 1 with the state carried; ONNX Runtime is
called with bound inputs and outputs, its quickest way. Each figure comes from a process of its own, pinned to one
core; --rounds says how often each contender is asked in turn. Needs an idle machine.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time

SHAPES = [(32, 28, 28, 128), (32, 100, 128, 256), (64, 35, 200, 200)]
WIDTHS = [32, 128]


def median_seconds(step, seconds):
    """The median time of a call of `step`, after a warm-up."""
    until = time.perf_counter() + seconds / 3
    while time.perf_counter() < until:
        step()
    times = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times) < 5:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def torch_step(cell, shape):
    import torch
    torch.set_num_threads(1)
    batch, steps, inputs, units = shape
    layer = (torch.nn.LSTM if cell == "lstm" else torch.nn.GRU)(inputs, units)
    x = torch.randn(steps, batch, inputs, requires_grad=True)
    target = torch.randn(steps, batch, units)

    def step():
        layer.zero_grad(set_to_none=True)
        x.grad = None
        ((layer(x)[0] - target) ** 2).mean().backward()

    return step


def flax_step(cell, shape):
    import flax.linen as nn
    import jax
    batch, steps, inputs, units = shape
    key = jax.random.PRNGKey(0)
    x = jax.random.normal(key, (batch, steps, inputs))
    target = jax.random.normal(key, (batch, steps, units))
    layer = nn.RNN((nn.OptimizedLSTMCell if cell == "lstm" else nn.GRUCell)(units))
    weights = layer.init(key, x)
    run = jax.jit(jax.value_and_grad(lambda w: ((layer.apply(w, x) - target) ** 2).mean()))
    return lambda: jax.block_until_ready(run(weights))


def onnx_stream(width):
    """Returns a function that makes 200 steps."""
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper
    rng = np.random.default_rng(0)
    weight = lambda name, *shape: numpy_helper.from_array(rng.normal(0, width**-0.5, shape).astype("f4"), name)
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, width])
    node = helper.make_node("LSTM", ["X", "W", "R", "B", "", "h", "c"], ["", "h1", "c1"], hidden_size=width)
    graph = helper.make_graph(
        [node], "step", [value("X"), value("h"), value("c")], [value("h1"), value("c1")],
        [weight("W", 1, 4 * width, width), weight("R", 1, 4 * width, width), weight("B", 1, 8 * width)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    zeros = lambda: ort.OrtValue.ortvalue_from_numpy(np.zeros((1, 1, width), "f4"))
    x, states = zeros(), [[zeros(), zeros()], [zeros(), zeros()]]
    bindings = []
    for here, there in ((0, 1), (1, 0)):
        binding = session.io_binding()
        binding.bind_ortvalue_input("X", x)
        for name, index in (("h", 0), ("c", 1)):
            binding.bind_ortvalue_input(name, states[here][index])
            binding.bind_ortvalue_output(name + "1", states[there][index])
        bindings.append(binding)

    def steps():
        for i in range(200):
            session.run_with_iobinding(bindings[i & 1])

    return steps


def contender(name, work, shape, seconds):
    """Runs inside a process of its own and prints the median in seconds."""
    os.sched_setaffinity(0, {0})
    if name == "onnxruntime":
        print(median_seconds(onnx_stream(shape[3]), seconds) / 200)
    else:
        make = torch_step if name == "torch" else flax_step
        print(median_seconds(make(work.split("_")[1], shape), seconds))


def ask(name, work, shape, lethe, seconds):
    """The median of one contender at one piece of work, in seconds."""
    if name == "lethe":
        mode, cell = work.split("_")
        command = ["taskset", "-c", "0", lethe, "bench", "--cell", cell, "--mode", mode, "--threads", "1", "--json",
                   "--seconds", str(seconds)]
        for option, value in zip(("--batch", "--time", "--input", "--hidden"), shape):
            command += [option, str(value)]
        line = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        return line["median_seconds"], line["gflops"] / line["peak_gflops"]
    environment = dict(os.environ, OMP_NUM_THREADS="1", JAX_PLATFORMS="cpu", CUDA_VISIBLE_DEVICES="",
                       XLA_FLAGS="--xla_cpu_multi_thread_eigen=false")
    command = [sys.executable, __file__, "--contender", name, work, ",".join(map(str, shape)), str(seconds)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout), None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lethe", default=".build/release/lethe")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--contender", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        name, work, shape, seconds = options.contender
        contender(name, work, tuple(map(int, shape.split(","))), float(seconds))
        return
    jobs = [(f"train_{cell}", shape, ["torch", "flax"]) for cell in ("lstm", "gru") for shape in SHAPES]
    jobs += [("stream_lstm", (1, 1, width, width), ["onnxruntime"]) for width in WIDTHS]
    print("| work | batch, time, input, hidden | Lethe | of peak | best peer | its time | ratio |")
    print("|---|---|---|---|---|---|---|")
    for work, shape, peers in jobs:
        times = {name: [] for name in ["lethe"] + peers}
        shares = []
        for _ in range(options.rounds):
            for name in times:
                seconds, share = ask(name, work, shape, options.lethe, options.seconds)
                times[name].append(seconds)
                shares += [share] if share else []
        medians = {name: statistics.median(found) for name, found in times.items()}
        best = min(peers, key=medians.get)
        unit, scale = ("µs", 1e6) if work.startswith("stream") else ("ms", 1e3)
        print(f"| {work.replace('_', ' ')} | {', '.join(map(str, shape))} | {medians['lethe'] * scale:.3g} {unit} | "
              f"{statistics.median(shares) * 100:.0f} % | {best} | {medians[best] * scale:.3g} {unit} | "
              f"{medians[best] / medians['lethe']:.2f} |", flush=True)


if __name__ == "__main__":
    main()
