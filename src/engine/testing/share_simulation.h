#pragma once

#include "engine/scheduler/scheduler.h"

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace autoglm::engine {

/// A scheduler under endless load: each client keeps a number of requests in the queue or running, of random
/// lengths. Counts the tokens that are computed for each.
class ShareSimulation {
 public:
  struct Client {
    std::string group;
    std::uint64_t tenant = 0;
    std::uint32_t requests = 100;  ///< at a time
    std::uint8_t priority = 0;
    std::uint32_t least_prompt = 20;
    std::uint32_t most_prompt = 200;
    std::uint32_t least_answer = 10;
    std::uint32_t most_answer = 150;
    // Counted:
    std::uint64_t tokens = 0;
    std::uint32_t running = 0;
    std::uint32_t present = 0;  ///< running and waiting
    // Of the last step, while it was computed:
    std::uint32_t ran = 0;
    std::uint32_t waited = 0;
  };

  explicit ShareSimulation(std::uint64_t seed,
                           SchedulerLimits limits = {.max_sequences = 16, .kv = {.cells = 16'384}})
      : random_(seed), limits_(limits), scheduler_(limits) {}

  std::size_t add(Client client) {
    clients_.push_back(std::move(client));
    return clients_.size() - 1;
  }
  Client& client(std::size_t number) { return clients_[number]; }
  Scheduler& scheduler() { return scheduler_; }

  /// Runs steps; tokens count from here.
  void run(int steps) {
    for (Client& each : clients_) each.tokens = 0;
    for (int i = 0; i < steps; ++i) step();
  }
  Scheduler::Step step() {
    for (std::size_t i = 0; i < clients_.size(); ++i)
      while (clients_[i].present < clients_[i].requests) begin(i);
    Scheduler::Step planned = scheduler_.plan(now_);
    for (const SequenceKey key : planned.preempted) --clients_[requests_.at(key).client].running;
    for (const auto& admission : planned.admitted)
      ++clients_[requests_.at(admission.sequence).client].running;
    for (Client& each : clients_) {
      each.ran = each.running;
      each.waited = each.present - each.running;
    }
    const Duration took =
        std::chrono::microseconds(5000 + 100 * (planned.decode_rows + planned.prefill_rows));
    now_ += took;
    scheduler_.complete(planned, {.wall = took, .cpu = took}, now_);
    for (const auto& slice : planned.slices) {
      Request& request = requests_.at(slice.sequence);
      clients_[request.client].tokens += slice.count;
      if (!slice.completes) continue;
      if (request.left-- == 0) {
        end(slice.sequence);
      } else {
        request.tokens->push_back(7);
        scheduler_.append(slice.sequence);
      }
    }
    return planned;
  }

 private:
  struct Request {
    std::size_t client;
    std::uint32_t left;
    std::unique_ptr<std::vector<TokenId>> tokens;
  };

  std::uint32_t between(std::uint32_t least, std::uint32_t most) {
    return least + static_cast<std::uint32_t>(random_() % (most - least + 1));
  }
  void begin(std::size_t number) {
    Client& client = clients_[number];
    const SequenceKey key{++last_};
    auto tokens = std::make_unique<std::vector<TokenId>>(between(client.least_prompt, client.most_prompt));
    for (TokenId& each : *tokens) each = static_cast<TokenId>(random_() % 30'000);
    scheduler_.add({.key = key,
                    .tokens = tokens.get(),
                    .priority = client.priority,
                    .tenant = client.tenant,
                    .group = scheduler_.shares().find(client.group),
                    .arrived = now_});
    ++client.present;
    requests_[key] = {number, between(client.least_answer, client.most_answer), std::move(tokens)};
  }
  void end(SequenceKey key) {
    Client& client = clients_[requests_.at(key).client];
    --client.present;
    --client.running;
    scheduler_.remove(key);
    requests_.erase(key);
  }

  std::mt19937_64 random_;
  SchedulerLimits limits_;
  Scheduler scheduler_;
  std::vector<Client> clients_;
  std::map<SequenceKey, Request> requests_;
  std::uint64_t last_ = 0;
  MonotonicTime now_{};
};

}  // namespace autoglm::engine
