#include "runtime/frame_memory.h"

namespace autoglm::detail {

namespace {

struct ThreadEnd {
  ~ThreadEnd() {
    t_frame_memory.closed = true;
    for (FrameMemory::Block*& head : t_frame_memory.free) {
      while (head != nullptr) {
        FrameMemory::Block* block = head;
        head = block->next;
        ::operator delete(block);
      }
    }
  }
};

}  // namespace

void* FrameMemory::allocate_new(std::size_t size) {
  if (!t_frame_memory.watched) {
    t_frame_memory.watched = true;
    static thread_local const ThreadEnd end;
    static_cast<void>(end);
  }
  return ::operator new((size + kStep - 1) / kStep * kStep);
}

}  // namespace autoglm::detail
