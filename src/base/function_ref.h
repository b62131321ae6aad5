#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace autoglm {

template <class Signature>
class FunctionRef;

/// A reference to a callable that its owner keeps for the length of a call: unlike std::function it copies
/// nothing and allocates nothing. (C++26 has it as std::function_ref.)
template <class R, class... Args>
class FunctionRef<R(Args...)> {
 public:
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef> && std::is_invocable_r_v<R, F&, Args...>)
  FunctionRef(F&& callable)
      : callable_(const_cast<void*>(static_cast<const void*>(std::addressof(callable)))),
        call_([](void* kept, Args... args) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(kept))(std::forward<Args>(args)...);
        }) {}

  R operator()(Args... args) const { return call_(callable_, std::forward<Args>(args)...); }

 private:
  void* callable_;
  R (*call_)(void*, Args...);
};

}  // namespace autoglm
