#pragma once

#include "base/result.h"
#include "runtime/deadline.h"
#include "runtime/scope.h"

#include <optional>
#include <variant>

namespace autoglm {

namespace detail {

template <class T, std::size_t kIndex, class Outcome>
Task<void> race_branch(Task<T> task, std::optional<Outcome>& outcome, Signal& done) {
  if constexpr (std::is_void_v<T>) {
    co_await std::move(task);
    if (!outcome) outcome.emplace(std::in_place_index<kIndex>);
  } else {
    T value = co_await std::move(task);
    if (!outcome) outcome.emplace(std::in_place_index<kIndex>, std::move(value));
  }
  done.set();
}

template <class T>
using VoidToMonostate = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

}  // namespace detail

/// Runs both; the result of the first to end; the other is cancelled by destruction. If `a` ends
/// without suspending, `b` never starts.
template <class A, class B>
Task<std::variant<detail::VoidToMonostate<A>, detail::VoidToMonostate<B>>> first_of(Task<A> a, Task<B> b) {
  using Outcome = std::variant<detail::VoidToMonostate<A>, detail::VoidToMonostate<B>>;
  std::optional<Outcome> outcome;
  Signal done;
  Scope branches;
  branches.spawn(detail::race_branch<A, 0>(std::move(a), outcome, done));
  if (!outcome) branches.spawn(detail::race_branch<B, 1>(std::move(b), outcome, done));
  co_await done.wait();
  branches.cancel();
  co_return std::move(*outcome);
}

/// `task`, or kDeadlineExceeded (with `what` in its message) when `deadline` passes first.
template <class T>
Task<Result<T>> with_deadline(Deadline deadline, Task<Result<T>> task, const char* what) {
  if (deadline.is_never()) co_return co_await std::move(task);
  std::optional<Result<T>> outcome;
  Signal done;
  Timer timer([&done] { done.set(); });
  timer.arm(deadline.at());
  Scope branch;
  branch.spawn([](Task<Result<T>> inner, std::optional<Result<T>>& out, Signal& end) -> Task<void> {
    out.emplace(co_await std::move(inner));
    end.set();
  }(std::move(task), outcome, done));
  co_await done.wait();
  branch.cancel();
  if (outcome) co_return std::move(*outcome);
  co_return fail(ErrorCode::kDeadlineExceeded, std::string(what) + " took too long");
}

}  // namespace autoglm
