#!/usr/bin/env python3
"""Fits the coefficients of CLetheKernels/functions.h and prints the table that the header holds.

    python3 -m venv venv && venv/bin/pip install mpmath numpy && venv/bin/python scripts/fit_math.py

Each function is f(x) ~ sum_j c_j phi_j(x), or a quotient brought to that linear form. Lawson's method finds the
minimax fit: weighted least squares again and again, the weight of a point growing with its error. The weight of
a quotient's residual contains the last denominator. Then the coefficients are rounded to float32 one at a time,
the most significant first, and the rest fitted again, so that they absorb the rounding.
Targets come from mpmath; the fits are float64 with scaled columns, so another LAPACK may move a last bit: the errors
written in functions.h were measured with the table it holds.
"""
import mpmath as mp
import numpy as np

mp.mp.prec = 160


def f32(x):
    return float(np.float32(float(x)))


def nodes(lo, hi, n=1200):
    """Chebyshev points: dense at both ends, where the error of a minimax fit is largest."""
    return (lo + hi) / 2 + (hi - lo) / 2 * np.cos(np.pi * (np.arange(n) + 0.5) / n)


def target(f, x):
    return np.array([float(f(mp.mpf(float(v)))) for v in x])


def lawson(phi, rhs, weight, rounds=400):
    """c that minimises max |weight(c) * (phi c - rhs)|; weight takes c, or None at the first round."""
    scale = np.abs(phi).max(axis=0)
    lam, c, best = np.ones(len(rhs)), None, (np.inf, None)
    for _ in range(rounds):
        w = weight(c)
        c = np.linalg.lstsq(phi / scale * (w * lam)[:, None], rhs * w * lam, rcond=None)[0] / scale
        err = np.abs(weight(c) * (phi @ c - rhs))
        if err.max() < best[0]:
            best = (err.max(), c)
        lam *= np.sqrt(err / err.max() + 1e-9)
        lam /= lam.max()
    return best[1], best[0]


def fit(name, names, phi, rhs, weight):
    """Fits, rounds, prints; weight takes the full coefficient vector or None."""
    fixed = {}  # index of a coefficient -> its float32 value
    for j in [None, *range(len(names))]:  # None: the fit before any rounding
        free = [k for k in range(len(names)) if k not in fixed]

        def full(c):
            v = np.zeros(len(names))
            v[free] = c
            for k, x in fixed.items():
                v[k] = x
            return v

        rest = rhs - sum((phi[:, k] * x for k, x in fixed.items()), np.zeros(len(rhs)))
        c, err = lawson(phi[:, free], rest, lambda c: weight(None if c is None else full(c)))
        if j is None:
            print(f"// {name}: fit {err:.2e} before rounding", end="")
        else:
            fixed[j] = f32(full(c)[j])
    c = np.array([fixed[k] for k in range(len(names))])
    print(f", {np.abs(weight(c) * (phi @ c - rhs)).max():.2e} after")
    for n, x in zip(names, c):
        show(n, x)
    return c


def show(name, x):
    mantissa, exponent = float(x).hex().split("p")
    print(f"#define LETHE_{name} {mantissa.rstrip('0').rstrip('.')}p{exponent}f  // {x:.9g}")


def split(name, value):
    """value = hi + lo, both float32."""
    hi = f32(value)
    show(name + "_HI", hi)
    show(name + "_LO", f32(value - mp.mpf(hi)))


def exp_table():
    # exp r = 1 + r + r^2 (c2 + c3 r + ...); the residual is relative to exp r.
    show("LOG2E", f32(1 / mp.log(2)))
    split("LN2", mp.log(2))
    x = nodes(-0.3475, 0.3475)
    y = target(mp.exp, x)
    rhs = target(lambda r: mp.exp(r) - 1 - r, x)
    phi = np.stack([x**k for k in range(2, 7)], axis=1)
    fit("exp", [f"EXP_C{k}" for k in range(2, 7)], phi, rhs, lambda c: 1 / y)


def sigmoid_table(a0=1.65):
    # exp r = (A + rB) / (A - rB), A = a0 + a1 r^2, B = b0 + b1 r^2, that is r b0 + r^3 b1 - T r^2 a1 = T a0 with
    # T = tanh(r / 2). a0 is ours to choose: it puts A + rB and A - rB high in [1, 2), where rounding costs least.
    show("SIG_A0", f32(a0))
    x = nodes(1e-6, 0.3475)
    t = target(lambda r: mp.tanh(r / 2), x)
    phi = np.stack([-t * x**2, x, x**3], axis=1)
    weight = lambda c: 2 / (1 - t * t) / (a0 + (0.17 if c is None else c[0]) * x * x)
    fit("sigmoid, exp r", ["SIG_A1", "SIG_B0", "SIG_B1"], phi, t * f32(a0), weight)


def log_table():
    # log(1 + f) = f + f^2 (c2 + c3 f + ...) for 1 + f in [2/3, 4/3]; the residual is relative to log(1 + f).
    show("LN2_2_23", f32(mp.log(2) / 2**23))
    x = nodes(-1 / 3, 1 / 3)
    y = target(mp.log1p, x)
    rhs = target(lambda f: mp.log1p(f) - f, x)
    phi = np.stack([x**k for k in range(2, 11)], axis=1)
    fit("log", [f"LOG_C{k}" for k in range(2, 11)], phi, rhs, lambda c: 1 / y)


def tanh_table():
    # tanh r = r / C, C = r coth r = 1 + c1 r^2 + c2 r^4; the residual is relative to C.
    show("TWO_LOG2E", f32(2 / mp.log(2)))
    show("HALF_LN2", f32(mp.log(2) / 2))
    x = nodes(1e-3, 0.1738)
    y = target(lambda r: r * mp.coth(r), x)
    rhs = target(lambda r: r * mp.coth(r) - 1, x)
    fit("tanh", ["TANH_C1", "TANH_C2"], np.stack([x**2, x**4], axis=1), rhs, lambda c: 1 / y)


if __name__ == "__main__":
    exp_table()
    sigmoid_table()
    log_table()
    tanh_table()
