#pragma once

#include "runtime/event_loop.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include <optional>

namespace autoglm {

/// What an EventLoop is made of. For sources of this room only.
struct EventLoop::Core {
  using Unsized = boost::intrusive::constant_time_size<false>;

  // The hint 1 says that one thread runs the context: Asio then skips waking itself for posts from
  // that thread. Posts from other threads stay safe.
  boost::asio::io_context context{1};
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work{
      context.get_executor()};

  boost::intrusive::list<Waiter, Unsized> ready;
  bool drain_posted = false;

  // One timer of the network library for all of ours: arming one of ours is a tree insertion, and a
  // system call only when it becomes the earliest.
  boost::intrusive::multiset<Timer, Unsized> timers;
  boost::asio::steady_timer alarm{context};
  MonotonicTime alarm_at = MonotonicTime::max();
};

}  // namespace autoglm
