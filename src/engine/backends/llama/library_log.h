#pragma once

#include <string>

namespace autoglm::engine {

/// Captures llama.cpp's messages on this thread for its lifetime: the reason of a failure is found only
/// there. At most one per thread at a time. Without one the messages are dropped.
class LibraryLog {
 public:
  LibraryLog();
  ~LibraryLog();
  LibraryLog(const LibraryLog&) = delete;
  LibraryLog& operator=(const LibraryLog&) = delete;

  /// Redirects llama.cpp's log to here. Once per process is enough; more is harmless.
  static void listen();

  /// Warnings and errors so far in one line, without llama.cpp's function names.
  std::string reason() const;

 private:
  std::string text_;
};

}  // namespace autoglm::engine
