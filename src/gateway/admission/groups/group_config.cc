#include "gateway/admission/groups/group_config.h"

namespace autoglm::gateway {

namespace {

config::Descriptor<GroupQueueConfig> describe_queue() {
  using C = GroupQueueConfig;
  return config::Descriptor<C>("queue", "Requests that wait while the group has its `concurrent`.")
      .field("size", &C::size,
             {.doc = "How many may wait. A further request gets 429, unless it is more important than a "
                     "waiting one: then it takes that one's place, and that one gets 429. 0: none waits.",
              .max = 1'000'000})
      .field("timeout", &C::timeout,
             {.doc = "For how long, at most. A request's priority rises by one for each tenth of it.",
              .min = 0.001,
              .max = 3600});
}

}  // namespace

config::Descriptor<GroupConfig> describe_group() {
  using C = GroupConfig;
  return config::Descriptor<C>("group",
                               "Keys that share a number of places, so that one use of this server "
                               "leaves room for the others.")
      .field("name", &C::name,
             {.doc = "What keys call it in their `group`.", .example = "chat", .min = 1, .required = true})
      .field("concurrent", &C::concurrent,
             {.doc = "Requests of the group at a time. When it is lowered, those under way end as usual.",
              .example = "16",
              .min = 1,
              .max = 1'000'000,
              .required = true})
      .section("queue", &C::queue, describe_queue())
      .live(true);
}

}  // namespace autoglm::gateway
