"""One contender: reads jobs as JSON lines, answers each with the median seconds of its step. See compare_peers.py."""
import json
import os
import statistics
import sys
import time


def median_seconds(step, seconds):
    """The median time of a call of `step`, after a warm-up."""
    until = time.perf_counter() + seconds / 3
    while True:
        step()
        if time.perf_counter() >= until:
            break
    times = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times) < 5:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def torch_step(mode, cell, shape, threads):
    import torch
    torch.set_num_threads(threads)
    batch, steps, inputs, units = shape
    layer = (torch.nn.LSTM if cell == "lstm" else torch.nn.GRU)(inputs, units)
    if mode == "infer":
        x = torch.randn(steps, batch, inputs)

        def infer():
            with torch.inference_mode():
                layer(x)

        return infer
    x = torch.randn(steps, batch, inputs, requires_grad=True)
    target = torch.randn(steps, batch, units)
    optimizer = torch.optim.Adam(layer.parameters())

    def step():
        optimizer.zero_grad(set_to_none=True)
        x.grad = None
        ((layer(x)[0] - target) ** 2).mean().backward()
        if mode == "adam":
            optimizer.step()

    return step


def torch_model_step(name, threads):
    """A training step of the models of `lethe bench mnist` and `lethe bench ptb`, on made-up data."""
    import torch
    from torch import nn
    from torch.nn import functional as F
    torch.set_num_threads(threads)

    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
            self.gate, self.memory, self.head = nn.Linear(448, 128), nn.LSTM(448, 128, batch_first=True), nn.Linear(128, 10)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.conv1(x)), 2)
            x = F.max_pool2d(F.relu(self.conv2(x)), 2)
            rows = x.permute(0, 2, 3, 1).flatten(2)
            y = torch.sigmoid(self.gate(rows)) * self.memory(rows)[0]
            return self.head(F.dropout(y[:, -1], 0.5))

    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.memory, self.head = nn.Embedding(10000, 200), nn.LSTM(200, 200, 2), nn.Linear(200, 10000)

        def forward(self, x):
            return self.head(self.memory(self.table(x))[0]).flatten(0, 1)

    if name == "mnist":
        model, x, labels = Reader(), torch.rand(100, 1, 28, 28), torch.arange(100) % 10
        optimizer = torch.optim.Adam(model.parameters(), 0.002)
    else:
        model, x, labels = Words(), torch.randint(10000, (20, 20)), torch.randint(10000, (400,))
        optimizer = torch.optim.SGD(model.parameters(), 1)

    def step():
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return step


def flax_step(mode, cell, shape, threads):
    import flax.linen as nn
    import jax
    batch, steps, inputs, units = shape
    key = jax.random.PRNGKey(0)
    x = jax.random.normal(key, (batch, steps, inputs))
    target = jax.random.normal(key, (batch, steps, units))
    layer = nn.RNN((nn.OptimizedLSTMCell if cell == "lstm" else nn.GRUCell)(units))
    weights = layer.init(key, x)
    run = jax.jit(jax.value_and_grad(lambda w, x: ((layer.apply(w, x) - target) ** 2).mean(), argnums=(0, 1)))
    return lambda: jax.block_until_ready(run(weights, x))


def jax_step(mode, cell, shape, threads):
    """A gated linear recurrence: its three (minGRU: two) projections, then lax.scan over the steps."""
    import jax
    import jax.numpy as jnp
    batch, steps, inputs, units = shape
    gates = 2 if cell == "mingru" else 3
    key, sigmoid = jax.random.PRNGKey(0), jax.nn.sigmoid
    x = jax.random.normal(key, (batch, steps, inputs))
    target = jax.random.normal(key, (batch, steps, units))
    weights = {"w": jax.random.normal(key, (inputs, gates * units)) * inputs**-0.5, "b": jnp.zeros(gates * units)}

    def positive(u):
        return jnp.where(u >= 0, u + 0.5, sigmoid(u))

    def loss(weights, x):
        parts = jnp.split(x @ weights["w"] + weights["b"], gates, -1)
        if cell == "qrnn":
            keep, new, out = sigmoid(parts[1]), jnp.tanh(parts[0]), sigmoid(parts[2])
        elif cell == "mingru":
            keep, new, out = 1 - sigmoid(parts[0]), positive(parts[1]), 1.0
        else:
            forget, write = sigmoid(parts[0]), sigmoid(parts[1])
            keep, new, out = forget / (forget + write), positive(parts[2]), 1.0

        def step(state, now):
            state = now[0] * state + now[1]
            return state, state

        by_step = (keep.swapaxes(0, 1), ((1 - keep) * new).swapaxes(0, 1))
        states = jax.lax.scan(step, jnp.zeros((batch, units)), by_step)[1]
        return ((out * states.swapaxes(0, 1) - target) ** 2).mean()

    run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    return lambda: jax.block_until_ready(run(weights, x))


def keras_step(mode, cell, shape, threads):
    import tensorflow as tf
    import keras
    batch, steps, inputs, units = shape
    layer = (keras.layers.LSTM if cell == "lstm" else keras.layers.GRU)(units, return_sequences=True)
    x = tf.random.normal((batch, steps, inputs))
    target = tf.random.normal((batch, steps, units))
    layer(x)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_mean((layer(x, training=True) - target) ** 2)
        return tape.gradient(loss, [x] + layer.trainable_variables)

    return step


def onnx_model(cell, steps, batch, inputs, units, carries):
    """One recurrent layer; `carries`: with the states as inputs and outputs."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    rng = np.random.default_rng(0)
    gates = 4 if cell == "lstm" else 3

    def weight(name, *shape):
        return numpy_helper.from_array(rng.normal(0, units**-0.5, shape).astype("f4"), name)

    def value(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    states = ["h", "c"][:2 if cell == "lstm" else 1] if carries else []
    node = helper.make_node(
        cell.upper(), ["X", "W", "R", "B"] + ([""] + states if states else []),
        ["" if carries else "Y"] + [s + "1" for s in states], hidden_size=units,
        **({} if cell == "lstm" else {"linear_before_reset": 1}))
    graph = helper.make_graph(
        [node], "layer",
        [value("X", steps, batch, inputs)] + [value(s, 1, batch, units) for s in states],
        [value(s + "1", 1, batch, units) for s in states] or [value("Y", steps, 1, batch, units)],
        [weight("W", 1, gates * units, inputs), weight("R", 1, gates * units, units),
         weight("B", 1, 2 * gates * units)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    model.ir_version = 8
    return model.SerializeToString(), states


def onnxruntime_step(mode, cell, shape, threads):
    import numpy as np
    import onnxruntime as ort
    batch, steps, inputs, units = shape
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    model, names = onnx_model(cell, steps, batch, inputs, units, mode == "stream")
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    x = ort.OrtValue.ortvalue_from_numpy(np.random.default_rng(1).normal(size=(steps, batch, inputs)).astype("f4"))
    if mode == "infer":
        binding = session.io_binding()
        binding.bind_ortvalue_input("X", x)
        binding.bind_output("Y")
        return lambda: session.run_with_iobinding(binding)
    # The quickest way there is: inputs and outputs bound once, two states in turn.
    states = [[ort.OrtValue.ortvalue_from_numpy(np.zeros((1, 1, units), "f4")) for _ in names] for _ in range(2)]
    bindings = []
    for here, there in ((0, 1), (1, 0)):
        binding = session.io_binding()
        binding.bind_ortvalue_input("X", x)
        for index, name in enumerate(names):
            binding.bind_ortvalue_input(name, states[here][index])
            binding.bind_ortvalue_output(name + "1", states[there][index])
        bindings.append(binding)

    def stream():
        for i in range(200):
            session.run_with_iobinding(bindings[i & 1])

    return stream


def openvino_step(mode, cell, shape, threads):
    import numpy as np
    import openvino as ov
    batch, steps, inputs, units = shape
    model, names = onnx_model(cell, steps, batch, inputs, units, mode == "stream")
    core = ov.Core()
    compiled = core.compile_model(core.read_model(model), "CPU", {
        "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"})
    x = ov.Tensor(np.random.default_rng(1).normal(size=(steps, batch, inputs)).astype("f4"))
    requests = [compiled.create_infer_request() for _ in range(2)]
    for request in requests:
        request.set_tensor("X", x)
    if mode == "infer":
        return requests[0].infer
    # Two requests in turn, each of which reads the states that the other writes.
    states = [[ov.Tensor(np.zeros((1, 1, units), "f4")) for _ in names] for _ in range(2)]
    for here, there in ((0, 1), (1, 0)):
        for index, name in enumerate(names):
            requests[here].set_tensor(name, states[here][index])
            requests[here].set_tensor(name + "1", states[there][index])

    def stream():
        for i in range(200):
            requests[i & 1].infer()

    return stream


STEPS = {"torch": torch_step, "flax": flax_step, "jax": jax_step, "keras": keras_step, "onnxruntime": onnxruntime_step,
         "openvino": openvino_step}


def versions(name):
    import importlib.metadata as metadata
    found = f"{name} {metadata.version(name)}"
    return found + (f" on tensorflow-cpu {metadata.version('tensorflow-cpu')}" if name == "keras" else "")


def main():
    name, threads = sys.argv[1], int(sys.argv[2])
    os.environ.update(OMP_NUM_THREADS=str(threads), JAX_PLATFORMS="cpu", CUDA_VISIBLE_DEVICES="-1",
                      KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3",
                      TF_NUM_INTRAOP_THREADS=str(threads), TF_NUM_INTEROP_THREADS=str(threads),
                      XLA_FLAGS=f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    answers.write(json.dumps({"version": versions(name)}) + "\n")
    answers.flush()
    for line in sys.stdin:
        job = json.loads(line)
        if "model" in job:
            step = torch_model_step(job["model"], threads)
        else:
            step = STEPS[name](job["mode"], job["cell"], job["shape"], threads)
        seconds = median_seconds(step, job["seconds"])
        answers.write(json.dumps({"seconds": seconds / (200 if job.get("mode") == "stream" else 1)}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
