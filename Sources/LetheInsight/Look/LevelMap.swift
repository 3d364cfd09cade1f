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
  /// A byte b stands for low + (high − low) qᵖ with q = (b − 1) / 254; 2 spends more bytes on small numbers.
  /// In a diverging map, where low = −high, it stands for high sign(s) |s|ᵖ with s = 2q − 1.
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
    let isDiverging = colorMap == .diverging
    cells = []
    cells.reserveCapacity(rows * columns)
    for value in values.joined() {
      guard AxisTicks.isDrawable(value) else {
        cells.append(0)
        continue
      }
      var place = isDiverging ? min(value.magnitude / high, 1) : min(max((value - low) / (high - low), 0), 1)
      if power == 2 { place = place.squareRoot() }
      if isDiverging { place = (value < 0 ? 1 - place : 1 + place) / 2 }
      cells.append(UInt8(1 + (place * 254).rounded()))
    }
  }

  /// The numbers the bytes stand for, row by row.
  var values: [[Double]] {
    (0..<rows).map { row in (0..<columns).map { value(cells[row * columns + $0]) } }
  }

  /// What a byte stands for; NaN for 0. The script of the page does the same.
  func value(_ byte: UInt8) -> Double {
    guard byte > 0 else { return .nan }
    let place = Double(byte - 1) / 254
    if colorMap == .diverging {
      let side = 2 * place - 1
      return high * (power == 2 ? side * side.magnitude : side)
    }
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
    var values = [[Double]](
      repeating: [Double](repeating: .nan, count: axis.columns), count: groups.columns)
    for column in 0..<axis.columns {
      for row in 0..<groups.columns {
        var sum = 0.0
        var count = 0.0
        for step in axis.steps(of: column) where step < signal.values.count {
          for rank in groups.steps(of: row) where order[rank] < signal.values[step].count {
            let value = Double(signal.values[step][order[rank]])
            guard AxisTicks.isDrawable(value) else { continue }
            sum += value
            count += 1
          }
        }
        if count > 0 { values[row][column] = sum / count }
      }
    }
    if signal.role == .value {
      self.init(diverging: values)
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
      var sums = [Double](repeating: 0, count: column + 1)
      var counts = sums
      for step in axis.steps(of: column) where step < shares.count {
        for row in 0...column {
          var sum = 0.0
          var isKnown = false
          for from in axis.steps(of: row) where from < shares[step].count {
            let share = Double(shares[step][from])
            guard AxisTicks.isDrawable(share) else { continue }
            sum += share
            isKnown = true
          }
          sums[row] += sum
          if isKnown { counts[row] += 1 }
        }
      }
      for row in 0...column where counts[row] > 0 { values[row][column] = sums[row] / counts[row] }
    }
    let drawable = values.joined().filter(AxisTicks.isDrawable)
    if drawable.contains(where: { $0 < 0 }) {
      self.init(diverging: values)
      return
    }
    let size = drawable.max() ?? 1
    // A long memory is thin everywhere but in its first columns; the colours serve the thin part.
    let top = LevelMap.strong(drawable, of: size)
    self.init(values, low: 0, high: size, top: top, power: 2, colorMap: .sequential)
  }

  /// Values of either sign, the colours for the many rather than for the largest.
  init(diverging values: [[Double]]) {
    let sizes = values.joined().filter(AxisTicks.isDrawable).map(\.magnitude)
    let size = max(sizes.max() ?? 0, 1e-300)
    self.init(
      values, low: -size, high: size, top: LevelMap.strong(sizes, of: size), power: 2, colorMap: .diverging)
  }

  /// What all but one in a hundred of the sizes that are not tiny stay below.
  private static func strong(_ sizes: [Double], of largest: Double) -> Double {
    let known = sizes.filter { $0 > largest * 1e-3 }.sorted()
    return known.isEmpty ? largest : known[min(known.count * 99 / 100, known.count - 1)]
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
