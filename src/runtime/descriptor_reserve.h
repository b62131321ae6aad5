#pragma once

#include <cstddef>
#include <vector>

namespace autoglm {

/// Descriptors that are kept for when a process has no others left: each can be given up for one that is
/// needed then. One thread.
class DescriptorReserve {
 public:
  explicit DescriptorReserve(std::size_t size) : size_(size) { refill(); }
  ~DescriptorReserve();
  DescriptorReserve(const DescriptorReserve&) = delete;
  DescriptorReserve& operator=(const DescriptorReserve&) = delete;

  /// Whether there was one to give up; it is free now.
  bool release();
  /// As many as there are to be, and to be had.
  void refill();
  std::size_t left() const { return kept_.size(); }

 private:
  std::size_t size_;
  std::vector<int> kept_;
};

}  // namespace autoglm
