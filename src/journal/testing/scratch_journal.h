#pragma once

#include "journal/journal.h"
#include "journal/posix_storage.h"
#include "journal/testing/faulty_storage.h"
#include "runtime/testing/run_task.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::journal {

/// An append from a test that is not on a loop.
inline Result<void> append_on(EventLoop& loop, Journal& journal, const Record& record) {
  return run_task(loop, [](Journal& to, Record from) -> Task<Result<void>> {
    co_return co_await to.append(from);
  }(journal, record));
}

/// A folder for a test's journal, removed with the object.
class ScratchFolder {
 public:
  ScratchFolder() : root_(testing::TempDir() + "journal-XXXXXX") {
    if (::mkdtemp(root_.data()) == nullptr) root_.clear();
  }
  ~ScratchFolder() { std::filesystem::remove_all(root_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::string path() const { return root_ + "/journal"; }
  std::unique_ptr<Storage> storage() const { return PosixStorage::open(path()).value(); }

 private:
  std::string root_;
};

/// A journal in a folder of its own, on a disk with faults, opened and closed as often as a test likes.
class ScratchJournal {
 public:
  std::unique_ptr<Journal> open() {
    options.path = folder.path();
    return Journal::open(options, make_faulty(folder.storage(), faults), *log, metrics).value();
  }

  /// All payloads, in their order.
  static std::vector<std::string> payloads(const Journal& journal) {
    std::vector<std::string> all;
    std::uint64_t before = 0;
    const auto replayed = journal.replay([&](const Record& record) {
      EXPECT_GT(record.sequence, before);
      before = record.sequence;
      all.emplace_back(record.payload);
    });
    EXPECT_TRUE(replayed);
    return all;
  }
  std::vector<std::string> payloads() { return payloads(*open()); }
  std::vector<std::string> segment_files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
      if (entry.path().extension() == ".journal") names.push_back(entry.path());
    }
    std::ranges::sort(names);
    return names;
  }
  std::uint64_t counter(std::string_view name) { return metrics.counter(name, "").value(); }

  ScratchFolder folder;
  Journal::Options options;
  std::shared_ptr<DiskFaults> faults = std::make_shared<DiskFaults>();
  std::unique_ptr<observe::Logger> log = observe::Logger::create({.file = "/dev/null"}).value();
  observe::MetricRegistry metrics;
};

}  // namespace autoglm::journal
