import LetheCore
import Synchronization

/// The packed weights of one layer and direction, kept between calls that do not train.
///
/// It holds the tensors that were packed, so nobody can change them in place while it does: equal storage means equal
/// numbers. A training step lets go of them, so that the optimizer need not copy. Copies of a layer share it; at worst
/// they pack again.
final class PackedCache: Sendable {
  private struct Entry {
    let sources: [Tensor]
    let packed: PackedRecurrent
  }
  private let entry = Mutex<Entry?>(nil)

  /// The weights, packed before or now.
  func packed(
    _ sources: [Tensor], _ description: CellDescription, inputs: Int, units: Int,
    _ pack: () -> PackedRecurrent
  ) -> PackedRecurrent {
    let kept = entry.withLock { $0 }
    if let kept, kept.packed.inputs == inputs, kept.packed.units == units,
      kept.sources.count == sources.count,
      zip(kept.sources, sources).allSatisfy({ $0.storage === $1.storage }),
      kept.packed.description == description
    {
      return kept.packed
    }
    let fresh = Entry(sources: sources, packed: pack())
    entry.withLock { $0 = fresh }
    return fresh.packed
  }

  func drop() { entry.withLock { $0 = nil } }
}
