import LetheCore

/// A matrix as one byte a cell, for a page that paints it: 0 is a missing cell, 1 to 255 are places on a scale.
struct LevelMap: Sendable {
  /// The bytes, row by row.
  private(set) var cells: [UInt8]
  /// How many rows.
  let rows: Int
  /// How many columns.
  let columns: Int
  /// What byte 1 stands for.
  let low: Double
  /// What byte 255 stands for.
  let high: Double
  /// A byte b stands for low + (high − low) ((b − 1) / 254)ᵖ; 2 spends more bytes on small numbers.
  let power: Int
  /// From which value on the colour is the strongest; never above `high`.
  let top: Double
  /// The colours.
  let colorMap: ColorMap

  /// The map of `values`, all rows of one length, on the scale from `low` to `high`.
  init(
    _ values: [[Double]], low: Double, high: Double, top: Double? = nil, power: Int = 1, colorMap: ColorMap
  ) {
    rows = values.count
    columns = values.first?.count ?? 0
    let high = high > low ? high : low + 1
    self.low = low
    self.high = high
    self.power = power
    self.top = min(max(top ?? high, low), high)
    self.colorMap = colorMap
    cells = []
    cells.reserveCapacity(rows * columns)
    for value in values.joined() {
      guard AxisTicks.isDrawable(value) else {
        cells.append(0)
        continue
      }
      let place = min(max((value - low) / (high - low), 0), 1)
      cells.append(UInt8(1 + ((power == 2 ? place.squareRoot() : place) * 254).rounded()))
    }
  }

  /// What a byte stands for; NaN for 0. The script of the page does the same.
  func value(_ byte: UInt8) -> Double {
    guard byte > 0 else { return .nan }
    let place = Double(byte - 1) / 254
    return low + (high - low) * (power == 2 ? place * place : place)
  }
}

extension LevelMap {
  /// How many rows and cells the maps of a page may have, so that a page stays under five megabytes.
  static let mostRows = 160
  static let mostCells = 2_000_000

  /// Units over time: a row for each unit in `order`, or the mean of neighbours in it where there are more
  /// than `limit`; a column for each column of `axis`.
  init(_ signal: LookReport.Signal, order: [Int], limit: Int, axis: TimeAxis) {
    let groups = TimeAxis(steps: order.count, atMost: limit)
    let values = (0..<groups.columns).map { row in
      let units = groups.steps(of: row).map { order[$0] }
      return (0..<axis.columns).map { column in
        mean(
          axis.steps(of: column).lazy.filter { $0 < signal.values.count }.flatMap { step in
            units.lazy.compactMap { unit in
              unit < signal.values[step].count ? Double(signal.values[step][unit]) : nil
            }
          })
      }
    }
    if signal.role == .value {
      let span = AxisTicks.range(of: values.joined()) ?? 0...0
      let size = max(span.lowerBound.magnitude, span.upperBound.magnitude)
      self.init(values, low: -size, high: size == 0 ? 1 : size, colorMap: .diverging)
    } else {
      self.init(values, low: 0, high: 1, colorMap: .sequential)
    }
  }

  /// Time of writing (down) by time of reading (across), each in `axis.columns` columns: shares of the steps
  /// joined in a column of writing add up, those of reading are averaged.
  init(ledger shares: [[Float]], axis: TimeAxis) {
    var values = [[Double]](
      repeating: [Double](repeating: .nan, count: axis.columns), count: axis.columns)
    for column in 0..<axis.columns {
      for row in 0...column {
        let sums = axis.steps(of: column).lazy.filter { $0 < shares.count }.compactMap { step -> Double? in
          let written = axis.steps(of: row).lazy.filter { $0 < shares[step].count }
            .map { Double(shares[step][$0]) }.filter(AxisTicks.isDrawable)
          return written.isEmpty ? nil : written.reduce(0, +)
        }
        values[row][column] = mean(sums)
      }
    }
    let drawable = values.joined().filter(AxisTicks.isDrawable)
    let size = drawable.lazy.map(\.magnitude).max() ?? 1
    if drawable.contains(where: { $0 < 0 }) {
      self.init(values, low: -size, high: size, colorMap: .diverging)
      return
    }
    // A long memory is thin everywhere but in its first columns; the colours serve the thin part.
    let later = values.joined().filter { $0 > size * 1e-3 }.sorted()
    let top = later.isEmpty ? size : later[min(later.count * 99 / 100, later.count - 1)]
    self.init(values, low: 0, high: size, top: top, power: 2, colorMap: .sequential)
  }

  /// The map as the script reads it.
  func json(label: String, groups: [String]) -> JSONText {
    .object([
      "label": .string(label), "rows": .number(Double(rows)), "columns": .number(Double(columns)),
      "low": .number(low), "high": .number(high), "top": .number(top), "power": .number(Double(power)),
      "colors": .string(colorMap.rawValue), "groups": .strings(groups), "cells": .string(Base64.text(cells)),
    ])
  }
}
