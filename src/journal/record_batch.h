#pragma once

#include "base/error.h"
#include "journal/record_format.h"
#include "runtime/event_loop.h"
#include "runtime/signal.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::journal {

/// What a task that waits for its record shares with the journal's thread. The journal fills in `error` and
/// posts the note to the loop; the task may be gone by then. Notes of one loop that are answered together
/// hang on each other, so that the loop is woken once.
struct WrittenNote final : Errand {
  explicit WrittenNote(EventLoop& target) : loop(target) {}
  ~WrittenNote() override { release(std::move(next)); }
  WrittenNote(const WrittenNote&) = delete;
  WrittenNote& operator=(const WrittenNote&) = delete;

  void run() override {
    written.set();
    std::shared_ptr<WrittenNote> note = std::move(next);
    while (note) {
      note->written.set();
      note = std::exchange(note->next, nullptr);
    }
  }

  EventLoop& loop;
  Signal written;                      // loop thread only
  std::shared_ptr<const Error> error;  // null: it is written; set before the note is posted
  std::shared_ptr<WrittenNote> next;

 private:
  /// One behind the other: the destructor of a long chain would need a deep stack.
  static void release(std::shared_ptr<WrittenNote> note) {
    while (note && note.use_count() == 1) note = std::exchange(note->next, nullptr);
  }
};

/// Records in their order, laid out as they will lie in a segment. Not thread-safe.
struct RecordBatch {
  struct Item {
    std::size_t bytes = 0;              ///< of its frame
    std::shared_ptr<WrittenNote> note;  ///< null: no task waits for it
    bool refused = false;               ///< its task was told that it is not written
  };

  bool empty() const { return items.empty(); }

  /// Adds all or, when there is no memory, nothing.
  void add(const Record& record, std::shared_ptr<WrittenNote> note) {
    items.push_back({.bytes = kFrameHead + record.payload.size(), .note = std::move(note)});
    try {
      append_frame(frames, record);
    } catch (...) {
      items.pop_back();
      throw;
    }
  }

  /// Takes over what `other` holds, behind its own; without memory, nothing has changed.
  void take(RecordBatch& other) {
    if (empty()) {
      std::swap(*this, other);
      return;
    }
    items.reserve(items.size() + other.items.size());
    frames += other.frames;
    for (Item& item : other.items) items.push_back(std::move(item));
    other.clear();
  }

  void remove_front(std::size_t count, std::size_t bytes) {
    items.erase(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(count));
    frames.erase(0, bytes);
  }

  /// Returns how many bytes were removed.
  std::size_t remove_refused() {
    std::size_t from = 0;
    std::size_t to = 0;
    for (std::size_t i = 0; i < items.size(); from += items[i++].bytes) {
      if (items[i].refused) continue;
      std::memmove(&frames[to], &frames[from], items[i].bytes);
      to += items[i].bytes;
    }
    std::erase_if(items, [](const Item& item) { return item.refused; });
    frames.resize(to);
    return from - to;
  }

  void clear() {
    items.clear();
    frames.clear();
  }

  std::string frames;
  std::vector<Item> items;
};

}  // namespace autoglm::journal
