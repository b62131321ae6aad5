#pragma once

#include "gateway/admission/rate/striped.h"
#include "gateway/admission/verdict.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

namespace autoglm::gateway {

/// How much of something (requests, tokens) each subject holds at the same time, and at most. A subject that
/// holds nothing takes no memory. Thread-safe; outlives every Held.
class ConcurrencyTable {
  using Entry = std::pair<const std::string, std::uint64_t>;

 public:
  /// What a subject holds, until it is destroyed. Movable; belongs to one thread at a time, any.
  class Held {
   public:
    Held() = default;
    Held(Held&& other) noexcept
        : table_(other.table_), entry_(other.entry_), amount_(std::exchange(other.amount_, 0)) {}
    Held& operator=(Held&& other) noexcept {
      Held old(std::move(*this));
      table_ = other.table_;
      entry_ = other.entry_;
      amount_ = std::exchange(other.amount_, 0);
      return *this;
    }
    ~Held() { shrink(0); }

    std::uint64_t amount() const { return amount_; }
    /// Gives back what is above `amount`; a smaller holding stays as it is.
    void shrink(std::uint64_t amount) {
      if (amount < amount_) table_->release(*entry_, amount_ - amount);
      amount_ = std::min(amount, amount_);
    }

   private:
    friend class ConcurrencyTable;
    Held(ConcurrencyTable& table, Entry& entry, std::uint64_t amount)
        : table_(&table), entry_(&entry), amount_(amount) {}

    ConcurrencyTable* table_ = nullptr;
    Entry* entry_ = nullptr;  // stays where it is while this holds anything
    std::uint64_t amount_ = 0;
  };

  struct Answer {
    Verdict verdict = Verdict::kAdmitted;
    std::uint64_t limit = 0;
    std::uint64_t remaining = 0;  ///< after this acquisition
    Held held;
  };

  explicit ConcurrencyTable(std::uint64_t most) : most_(most) {}

  /// kNever: more than a subject may hold. An amount of 0 is always admitted.
  Answer acquire(std::string_view subject, std::uint64_t amount);

  /// From the next acquisition on. What is held stays held, even above the new limit.
  void set_most(std::uint64_t most) { most_.store(most, std::memory_order_relaxed); }
  std::uint64_t most() const { return most_.load(std::memory_order_relaxed); }

  std::uint64_t held(std::string_view subject);
  /// Calls `see` for every subject that holds something, under no lock.
  void for_each_held(const std::function<void(const std::string&, std::uint64_t)>& see);
  /// Subjects that hold something.
  std::size_t size();

 private:
  struct alignas(64) Stripe {
    std::mutex mutex;
    BySubject<std::uint64_t> held;
  };

  void release(Entry& entry, std::uint64_t amount);

  std::atomic<std::uint64_t> most_;
  Striped<Stripe> stripes_;
};

}  // namespace autoglm::gateway
