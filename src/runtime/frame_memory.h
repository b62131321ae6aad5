#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define AUTOGLM_FRAMES_FROM_HEAP 1  // so that sanitizers see the use of a destroyed frame
#endif
#endif

namespace autoglm::detail {

/// Memory of coroutine frames. A request makes dozens of frames in few sizes, and each lives for
/// microseconds, so a thread keeps some freed blocks of every size. A block freed on another thread simply
/// moves there.
struct FrameMemory {
  static constexpr std::size_t kStep = 128;
  static constexpr std::size_t kClasses = 32;
  static constexpr std::uint8_t kKept = 64;  ///< blocks kept per class

  struct Block {
    Block* next;
  };
  std::array<Block*, kClasses> free{};
  std::array<std::uint8_t, kClasses> count{};
  bool watched = false;  ///< the thread's end will free the blocks
  bool closed = false;   ///< the thread's end has freed them

  static void* allocate(std::size_t size);
  static void release(void* memory, std::size_t size) noexcept;

 private:
  static void* allocate_new(std::size_t size);
};

// Needs no construction, so reaching it is one instruction.
inline thread_local constinit FrameMemory t_frame_memory;

inline void* FrameMemory::allocate(std::size_t size) {
#ifndef AUTOGLM_FRAMES_FROM_HEAP
  const std::size_t index = (size - 1) / kStep;
  if (index < kClasses && t_frame_memory.free[index] != nullptr) {
    Block* block = t_frame_memory.free[index];
    t_frame_memory.free[index] = block->next;
    --t_frame_memory.count[index];
    return block;
  }
#endif
  return allocate_new(size);
}

inline void FrameMemory::release(void* memory, [[maybe_unused]] std::size_t size) noexcept {
#ifndef AUTOGLM_FRAMES_FROM_HEAP
  const std::size_t index = (size - 1) / kStep;
  if (index < kClasses && t_frame_memory.count[index] < kKept && !t_frame_memory.closed) {
    auto* block = ::new (memory) Block{t_frame_memory.free[index]};
    t_frame_memory.free[index] = block;
    ++t_frame_memory.count[index];
    return;
  }
#endif
  ::operator delete(memory);
}

/// A base of promises: their frames come from FrameMemory.
struct FrameFromMemory {
  static void* operator new(std::size_t size) { return FrameMemory::allocate(size); }
  static void operator delete(void* memory, std::size_t size) noexcept { FrameMemory::release(memory, size); }
};

}  // namespace autoglm::detail
