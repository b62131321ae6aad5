#pragma once

#include <string>

namespace autoglm::engine {

/// What llama.cpp says on this thread while one of these lives: the reason of a failure is only in there.
/// One at a time and thread. Without one its words are dropped.
class LibraryLog {
 public:
  LibraryLog();
  ~LibraryLog();
  LibraryLog(const LibraryLog&) = delete;
  LibraryLog& operator=(const LibraryLog&) = delete;

  /// Tells the library where to talk to; once a process is enough, more is harmless.
  static void listen();

  /// Warnings and errors so far in one line, without the library's function names.
  std::string reason() const;

 private:
  std::string text_;
};

}  // namespace autoglm::engine
