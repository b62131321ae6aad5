#pragma once

#include <cstddef>
#include <vector>

namespace autoglm {

/// Descriptors in reserve for when the process runs out: each can be released for an urgent need. One thread.
class DescriptorReserve {
 public:
  explicit DescriptorReserve(std::size_t size) : size_(size) { refill(); }
  ~DescriptorReserve();
  DescriptorReserve(const DescriptorReserve&) = delete;
  DescriptorReserve& operator=(const DescriptorReserve&) = delete;

  /// Frees one descriptor; false when none is left.
  bool release();
  /// Fills the reserve up to its size, or as far as the system allows.
  void refill();
  std::size_t left() const { return kept_.size(); }

 private:
  std::size_t size_;
  std::vector<int> kept_;
};

}  // namespace autoglm
