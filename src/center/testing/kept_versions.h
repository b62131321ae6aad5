#pragma once

#include "center/document.h"
#include "runtime/event_loop.h"
#include "runtime/scope.h"

#include <chrono>
#include <functional>
#include <utility>
#include <vector>

namespace autoglm::center {

/// Keeps all that a document says.
class KeptVersions final : public DocumentSink {
 public:
  void push(Version version) override { versions.push_back(std::move(version)); }
  void fail(const Error& error) override { errors.push_back(error); }

  /// Runs `document` until `enough` is true of what it has said; false: it is not, for long.
  Task<bool> follow(Document& document, std::function<bool(const KeptVersions&)> enough) {
    Scope scope;
    scope.spawn(document.run(*this));
    for (int i = 0; i < 10'000 && !enough(*this); ++i) co_await sleep_for(std::chrono::milliseconds(1));
    co_return enough(*this);
  }

  std::vector<Version> versions;
  std::vector<Error> errors;
};

}  // namespace autoglm::center
