#pragma once

#include "cluster/registration/registrar.h"
#include "runtime/event_loop.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::cluster {

/// What a test's registrars were told, in order, and what they answer. Outlives them. Control loop only.
struct FakeBook {
  std::vector<std::string> told = {};  ///< "keep a 10.0.0.1:8000 one,two", "remove a"
  Result<Duration> says = std::chrono::hours(1);
  bool keeps = true;         ///< false: `keep` waits until it is true
  bool removes = true;       ///< the same for `remove`
  int refused_removals = 0;  ///< so many of them fail, at once

  std::size_t count(std::string_view beginning) const {
    std::size_t number = 0;
    for (const std::string& each : told) number += each.starts_with(beginning) ? 1 : 0;
    return number;
  }
};

/// A registrar that writes into a book.
class FakeRegistrar final : public Registrar {
 public:
  explicit FakeRegistrar(FakeBook& book, std::string name = "fake llm")
      : book_(book), name_(std::move(name)) {}

  Task<Result<Duration>> keep(const Registration& self) override {
    book_.told.push_back("keep " + self.id + " " + self.host + ":" + std::to_string(self.port) + " " +
                         self.metadata.at("models"));
    while (!book_.keeps) co_await sleep_for(std::chrono::milliseconds(1));
    co_return book_.says;
  }
  Task<Result<void>> remove(const Registration& self) override {
    book_.told.push_back("remove " + self.id);
    if (book_.refused_removals > 0) {
      --book_.refused_removals;
      co_return fail(ErrorCode::kUnavailable, "not now");
    }
    while (!book_.removes) co_await sleep_for(std::chrono::milliseconds(1));
    co_return Result<void>();
  }
  const std::string& name() const override { return name_; }

 private:
  FakeBook& book_;
  std::string name_;
};

}  // namespace autoglm::cluster
