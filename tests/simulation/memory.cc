#include "memory.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace autoglm::simulation {

namespace {

constinit thread_local int t_outside = 0;
constinit std::atomic<std::int64_t> held_bytes{0};

/// Stands before each allocation: how many of its bytes count.
struct alignas(std::max_align_t) Header {
  std::int64_t counted;
};

void* take(std::size_t size, std::size_t alignment) {
  const std::size_t before = std::max(alignment, sizeof(Header));
  void* base = alignment <= alignof(Header)
                   ? std::malloc(before + size)
                   : std::aligned_alloc(alignment, (before + size + alignment - 1) / alignment * alignment);
  if (base == nullptr) throw std::bad_alloc();
  std::byte* memory = static_cast<std::byte*>(base) + before;
  auto* header = new (memory - sizeof(Header)) Header{.counted = 0};
  if (t_outside == 0) {
    header->counted = static_cast<std::int64_t>(size);
    held_bytes.fetch_add(header->counted, std::memory_order_relaxed);
  }
  return memory;
}

void give_back(void* memory, std::size_t alignment) {
  if (memory == nullptr) return;
  auto* bytes = static_cast<std::byte*>(memory);
  const auto* header = reinterpret_cast<const Header*>(bytes - sizeof(Header));
  if (header->counted != 0) held_bytes.fetch_sub(header->counted, std::memory_order_relaxed);
  std::free(bytes - std::max(alignment, sizeof(Header)));
}

}  // namespace

std::int64_t Memory::held() { return held_bytes.load(std::memory_order_relaxed); }

Memory::Outside::Outside() { ++t_outside; }
Memory::Outside::~Outside() { --t_outside; }

}  // namespace autoglm::simulation

// The other forms call these.
void* operator new(std::size_t size) { return autoglm::simulation::take(size, 0); }
void operator delete(void* memory) noexcept { autoglm::simulation::give_back(memory, 0); }
void operator delete(void* memory, std::size_t /*size*/) noexcept {
  autoglm::simulation::give_back(memory, 0);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return autoglm::simulation::take(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory, std::align_val_t alignment) noexcept {
  autoglm::simulation::give_back(memory, static_cast<std::size_t>(alignment));
}
void operator delete(void* memory, std::size_t /*size*/, std::align_val_t alignment) noexcept {
  autoglm::simulation::give_back(memory, static_cast<std::size_t>(alignment));
}
