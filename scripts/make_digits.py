#!/usr/bin/env python3
"""Pack the 8x8 handwritten digits into one small binary file.

    python3 scripts/make_digits.py [OUT]

Needs scikit-learn (for the copy of the data it carries; nothing is downloaded) and numpy.
OUT defaults to Sources/CLetheDigits/digits.bin of this checkout.

Input   digits.csv.gz of the scikit-learn package: the 1,797 test rows of "Optical Recognition of
        Handwritten Digits" (E. Alpaydin and C. Kaynak, 1998, UCI Machine Learning Repository), each
        64 counts 0..16 and a class 0..9.
Output  1,797 records of 65 bytes and nothing else: 64 pixels, row by row from the top left, then
        the label. Records keep the order of the input. 116,805 bytes.

After writing, the file is read back and compared, and two 1-nearest-neighbour accuracies are printed:
a floor that anything trained on the same split should be judged against.
"""
import csv
import gzip
import hashlib
import importlib.metadata
import importlib.resources
import io
import pathlib
import sys

import numpy as np

ROWS, PIXELS, DARKEST, CLASSES = 1797, 64, 16, 10


def read_digits():
    """The bundled table as bytes [1797, 65], after checking that it is what this script expects."""
    packed = importlib.resources.files("sklearn.datasets").joinpath("data/digits.csv.gz").read_bytes()
    lines = csv.reader(io.StringIO(gzip.decompress(packed).decode("ascii")))
    table = np.array([[float(field) for field in line] for line in lines])
    assert table.shape == (ROWS, PIXELS + 1), table.shape
    assert (table == np.floor(table)).all(), "counts must be whole numbers"
    pixels, labels = table[:, :PIXELS], table[:, PIXELS]
    assert 0 <= pixels.min() and pixels.max() <= DARKEST
    assert sorted(set(labels)) == list(range(CLASSES))
    return table.astype(np.uint8)


def nearest_neighbour(table, is_test):
    """Correct and total predictions by Euclidean distance; the earliest training row wins a tie."""
    values = table.astype(np.int64)  # exact: squared distances stay below 64 * 256
    train, test = values[~is_test], values[is_test]
    apart = ((test[:, None, :PIXELS] - train[None, :, :PIXELS]) ** 2).sum(axis=2)
    guess = train[apart.argmin(axis=1), PIXELS]
    return int((guess == test[:, PIXELS]).sum()), len(test)


def main():
    checkout = pathlib.Path(__file__).resolve().parent.parent
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else checkout / "Sources/CLetheDigits/digits.bin"
    table = read_digits()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(table.tobytes())

    again = out.read_bytes()
    assert np.array_equal(np.frombuffer(again, np.uint8).reshape(ROWS, PIXELS + 1), table)
    print(f"{out.name}: {len(again):,} bytes, sha256 {hashlib.sha256(again).hexdigest()}, "
          f"scikit-learn {importlib.metadata.version('scikit-learn')}")

    row = np.arange(ROWS)
    for name, is_test in (("index mod 5 == 4", row % 5 == 4), ("last 360", row >= ROWS - 360)):
        right, total = nearest_neighbour(table, is_test)
        print(f"1-nearest neighbour, test rows {name}: {right}/{total} = {100 * right / total:.2f} %")


if __name__ == "__main__":
    main()
