#pragma once

#include "http/server.h"
#include "runtime/blocking_pool.h"
#include "runtime/event_loop.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace autoglm::http {

/// What the conformance suite knows of one implementation of Handler.
class HandlerSubject {
 public:
  virtual ~HandlerSubject() = default;
  virtual Handler& handler() = 0;
  /// Whole requests of HTTP/1.1, which are always answered in the same way; each asks for the connection's
  /// end by `Connection: close`. Of several kinds: short and streamed answers, errors, with bodies and
  /// without.
  virtual std::vector<std::string> requests() const = 0;
  /// Whether it works for nobody.
  virtual bool idle() { return true; }
};

/// An implementation of Handler for the suite, in one line of its room's tests.
struct HandlerImplementation {
  using Make = std::unique_ptr<HandlerSubject> (*)();
  // Beside the tests: whoever makes one links them.
  HandlerImplementation(const char* called, Make maker);

  const char* name;
  Make make;
};
template <class Subject>
HandlerImplementation handler_of(const char* name) {
  return {name, []() -> std::unique_ptr<HandlerSubject> { return std::make_unique<Subject>(); }};
}

/// The conformance suite of Handler, behind real connections; for INSTANTIATE_TEST_SUITE_P in each room that
/// has one.
class HandlerConformance : public ::testing::TestWithParam<HandlerImplementation> {
 protected:
  ~HandlerConformance() override;

  std::unique_ptr<HandlerSubject> subject_ = GetParam().make();
};

}  // namespace autoglm::http
