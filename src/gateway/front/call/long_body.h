#pragma once

#include "runtime/blocking_pool.h"
#include "runtime/task.h"

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace autoglm::gateway {

/// Whether reading a body takes so long that the other requests of its loop would notice.
inline bool is_long(const std::string& body) { return body.size() > std::size_t{256} << 10U; }

/// What `read` makes of `body`, on a thread of the pool. The job owns the body until it has read it; then the
/// body is in its place again. `read` must not refer to anything that may die before the job ends. Errors:
/// the pool's queue is full.
template <std::invocable<const std::string&> F>
Task<Result<std::invoke_result_t<F, const std::string&>>> read_on_pool(BlockingPool& pool, std::string& body,
                                                                       const std::string& tenant, F read) {
  auto bytes = std::make_shared<std::string>(std::move(body));
  auto made = co_await pool.run([bytes, read = std::move(read)] { return read(*bytes); },
                                {.tenant = std::hash<std::string>()(tenant), .is_long = true});
  body = std::move(*bytes);
  co_return made;
}

}  // namespace autoglm::gateway
