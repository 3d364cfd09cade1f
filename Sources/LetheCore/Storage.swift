import CLetheKernels

/// The memory behind a tensor.
///
/// Unchecked because of the raw pointer. Invariant: the memory is written only by a tensor that is
/// known to be its one owner, or before the first tensor that holds it is handed out.
package final class Storage: @unchecked Sendable {
  package let pointer: UnsafeMutablePointer<Float>
  package let count: Int

  /// Undefined contents, from the pool; aligned to 64 bytes.
  package init(count: Int) {
    self.count = count
    guard let memory = lethe_buffer_take(max(count, 1) * MemoryLayout<Float>.stride) else {
      stop("out of memory: a tensor of \(count) floats could not be allocated")
    }
    pointer = memory.bindMemory(to: Float.self, capacity: max(count, 1))
  }

  package func copy() -> Storage {
    let twin = Storage(count: count)
    twin.pointer.update(from: pointer, count: count)
    return twin
  }

  deinit { lethe_buffer_give(pointer) }
}
