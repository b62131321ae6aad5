#pragma once

#include "cluster/registration/registrar.h"
#include "runtime/signal.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace autoglm::cluster {

/// What a test's registrars were told, in order, and what they answer. Outlives them. Control loop only.
struct FakeBook {
  std::vector<std::string> told = {};  ///< "keep a 10.0.0.1:8000 one,two", "remove a"
  Result<Duration> says = std::chrono::hours(1);
  bool answers = true;  ///< false: who is told waits for ever

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
    co_await answer();
    co_return book_.says;
  }
  Task<Result<void>> remove(const Registration& self) override {
    book_.told.push_back("remove " + self.id);
    co_await answer();
    co_return Result<void>();
  }
  const std::string& name() const override { return name_; }

 private:
  Task<void> answer() {
    Signal never;
    if (!book_.answers) co_await never.wait();
  }

  FakeBook& book_;
  std::string name_;
};

}  // namespace autoglm::cluster
