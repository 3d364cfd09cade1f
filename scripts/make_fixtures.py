#!/usr/bin/env python3
"""Write what PyTorch, Keras and the cells' equations compute, for Lethe's tests to agree with.

    python3 scripts/make_fixtures.py [OUT]

Needs torch, keras 3 with tensorflow, numpy, safetensors, onnx and onnxruntime. OUT defaults to Tests/Fixtures of this
checkout. Running it again with the same versions gives the same bytes.

How the numbers are made: inputs, weights and cotangents are drawn in float32; the peer then computes
in float64 from exactly those values, and the results are rounded to float32 once, when stored. So the
fixtures carry no float32 error of the peer, and a difference seen by a test is the tested code's own.

Files (float32 tensors only; whole numbers such as lengths are stored as floats):

  torch_{rnn_tanh,rnn_relu,lstm,gru,lstm_projected}_{single,stacked,ragged,one}   recurrent layers, batch first
  keras_lstm, keras_gru_after, keras_gru_before, keras_lstm_hard   recurrent layers, Keras layout
  torch_layers                                                     layers and losses, "<case>.<tensor>"
  torch_optim                                                      seven steps of each optimiser
  cells_<cell>                                                     every described cell, from its equations
  numpy_stored.npz, numpy_deflated.npz                             arrays of all types that can be read; see from_numpy.py

Tensor names of a recurrent case: x input, h0 and c0 initial states, y outputs, hn and cn final states,
gy, ghn and gcn random cotangents on those three, gx, gh0 and gc0 the gradients of
sum(y gy) + sum(hn ghn) + sum(cn gcn). PyTorch weights are "p.<name>", their gradients "g.<name>"; Keras
weights carry their Keras names, gradients "g.<name>". States keep the peer's own shapes: PyTorch
[layers * directions, N, H] (h of a projected LSTM narrower), Keras [N, H].

A cell's file is as PyTorch's, batch first, with the names of Lethe's own files and states [N, H]; states after c are s2_0,
s2_n, s3_0 and so on, in the order of the cell's description.
"""
import pathlib
import subprocess
import sys


def main():
    here = pathlib.Path(__file__).resolve().parent
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here.parent / "Tests/Fixtures"
    folder.mkdir(parents=True, exist_ok=True)
    # One process each: PyTorch and TensorFlow both carry an LLVM, and the two abort when they meet.
    for script in ("from_torch.py", "from_keras.py", "from_equations.py", "from_numpy.py"):
        subprocess.run([sys.executable, "-B", here / "fixtures" / script, folder], check=True)


if __name__ == "__main__":
    main()
