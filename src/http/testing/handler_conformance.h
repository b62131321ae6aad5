#pragma once

#include "http/server.h"
#include "runtime/blocking_pool.h"
#include "runtime/event_loop.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace autoglm::http {

/// What the conformance suite knows about one implementation of Handler.
class HandlerSubject {
 public:
  virtual ~HandlerSubject() = default;
  virtual Handler& handler() = 0;
  /// Complete HTTP/1.1 requests that are always answered in the same way; each asks for the end of the
  /// connection by `Connection: close`. They cover short and streamed answers, errors, requests with bodies
  /// and without.
  virtual std::vector<std::string> requests() const = 0;
  /// Whether no request is in flight in the handler.
  virtual bool idle() { return true; }
};

/// Registers an implementation of Handler with the suite, in one line of its room's tests.
struct HandlerImplementation {
  using Make = std::unique_ptr<HandlerSubject> (*)();
  // Defined with the suite, so that a program that makes one links the suite's tests.
  HandlerImplementation(const char* called, Make maker);

  const char* name;
  Make make;
};
template <class Subject>
HandlerImplementation handler_of(const char* name) {
  return {name, []() -> std::unique_ptr<HandlerSubject> { return std::make_unique<Subject>(); }};
}

/// The conformance suite of Handler, run over real connections; for INSTANTIATE_TEST_SUITE_P in each room
/// that implements Handler.
class HandlerConformance : public ::testing::TestWithParam<HandlerImplementation> {
 protected:
  ~HandlerConformance() override;

  std::unique_ptr<HandlerSubject> subject_ = GetParam().make();
};

}  // namespace autoglm::http
