#include "gateway/admission/usage/usage_index.h"

#include "gateway/admission/usage/usage_record.h"
#include "journal/crc32c.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace autoglm::gateway {

namespace {

// Records between two looks at `stop`, and in one transaction.
constexpr std::uint64_t kRecordsAtOnce = 200'000;
constexpr std::int64_t kSchema = 1;

// Sums are never negative, and far below the 63 bits of SQLite's numbers.
constexpr const char* kTables = R"(
CREATE TABLE usage (hour INTEGER, key TEXT, tenant TEXT, model TEXT,
  requests INTEGER, cut INTEGER, prompt_tokens INTEGER, cached_tokens INTEGER, completion_tokens INTEGER, cost INTEGER,
  PRIMARY KEY (hour, key, tenant, model)) WITHOUT ROWID;
CREATE TABLE position (next INTEGER, last_sum INTEGER);
INSERT INTO position VALUES (1, 0);
PRAGMA user_version = 1;
)";

constexpr std::string_view kAddUp = R"( ON CONFLICT DO UPDATE SET
  requests = requests + excluded.requests, cut = cut + excluded.cut,
  prompt_tokens = prompt_tokens + excluded.prompt_tokens, cached_tokens = cached_tokens + excluded.cached_tokens,
  completion_tokens = completion_tokens + excluded.completion_tokens, cost = cost + excluded.cost)";

constexpr std::int64_t kHoursOfADay = 24;

std::int64_t hour_of(WallTime time) {
  return std::chrono::floor<std::chrono::hours>(time).time_since_epoch().count();
}

std::int64_t first_hour(Day day) {
  return std::chrono::time_point_cast<std::chrono::hours>(day).time_since_epoch().count();
}

std::int64_t stored(std::uint64_t number) { return static_cast<std::int64_t>(number); }

/// Days far away would overflow as hours.
std::pair<std::int64_t, std::int64_t> hours_between(const UsageQuery& query) {
  constexpr Day kFirst = Day(), kLast = std::chrono::sys_days(std::chrono::year(9999) / 12 / 31);
  return {first_hour(std::clamp(query.from, kFirst, kLast)),
          first_hour(std::clamp(query.to, kFirst, kLast) + std::chrono::days(1))};
}

std::int64_t shown_hour(const UsageQuery& query, std::int64_t hour) {
  if (query.by_hour) return hour;
  return query.by_day ? hour / kHoursOfADay * kHoursOfADay : 0;
}

std::string select(const UsageQuery& query) {
  std::string sql = fmt::format("SELECT {}, {}, {}, {}",
                                query.by_hour  ? "hour"
                                : query.by_day ? "hour / 24 * 24"
                                               : "0",
                                query.by_key ? "key" : "''", query.by_tenant ? "tenant" : "''",
                                query.by_model ? "model" : "''");
  sql +=
      ", sum(requests), sum(cut), sum(prompt_tokens), sum(cached_tokens), sum(completion_tokens), sum(cost) "
      "FROM usage WHERE hour >= ? AND hour < ?";
  if (query.key) sql += " AND key = ?";
  if (query.tenant) sql += " AND tenant = ?";
  if (query.model) sql += " AND model = ?";
  return sql + " GROUP BY 1, 2, 3, 4 LIMIT ?";
}

UsageSums sums_in(const sqlite::Statement& row, int column) {
  const auto next = [&] { return static_cast<std::uint64_t>(row.number(column++)); };
  UsageSums sums;
  for (std::uint64_t* each : {&sums.requests, &sums.cut, &sums.prompt_tokens, &sums.cached_tokens,
                              &sums.completion_tokens, &sums.cost})
    *each = next();
  return sums;
}

}  // namespace

Result<void> UsageIndex::update(const std::atomic<bool>& stop) {
  if (auto open = ensure_open(); !open) return open;
  const std::uint64_t end = journal_.durable_sequence();
  for (bool more = true; more && position_ < end; more = !stop.load(std::memory_order_relaxed)) {
    const std::uint64_t next = std::min(end, position_ + kRecordsAtOnce);
    Sums sums;
    const auto read = journal_.replay(
        [&](const journal::Record& record) {
          last_sum_ = journal::crc32c(record.payload);
          if (record.kind != kUsageRecordKind) return;
          if (const auto usage = read_usage_record(record.payload))
            sums[{hour_of(usage->time), usage->key, usage->tenant, usage->model}] += sums_of(*usage);
        },
        position_, next);
    if (!read) return fail(read.error());
    if (auto added = checked(add(sums, next)); !added) return added;
    position_ = next;
  }
  const Day today = day_of(options_.now());
  if (today == condensed_) return {};
  auto condensed = checked(condense(today));
  if (condensed) condensed_ = today;
  return condensed;
}

Result<std::vector<UsageRow>> UsageIndex::query(const UsageQuery& query) {
  if (auto open = ensure_open(); !open) return fail(std::move(open).error());
  Sums found;
  const auto read = [&]() -> Result<void> {
    auto rows = database_->prepare(select(query));
    if (!rows) return fail(std::move(rows).error());
    const auto [from, end] = hours_between(query);
    int parameter = 0;
    rows->bind(parameter++, from).bind(parameter++, end);
    for (const auto* name : {&query.key, &query.tenant, &query.model})
      if (*name) rows->bind(parameter++, **name);
    rows->bind(parameter, stored(options_.most_rows + 1));
    while (true) {
      const auto row = rows->step();
      if (!row) return fail(row.error());
      if (!*row) return {};
      found[{rows->number(0), std::string(rows->text(1)), std::string(rows->text(2)),
             std::string(rows->text(3))}] = sums_in(*rows, 4);
    }
  };
  if (auto done = checked(read()); !done) return fail(std::move(done).error());
  const auto [from, end] = hours_between(query);
  const auto newer = journal_.replay(
      [&](const journal::Record& record) {
        if (record.kind != kUsageRecordKind) return;
        const auto usage = read_usage_record(record.payload);
        if (!usage || !query.asks_for(usage->key, usage->tenant, usage->model)) return;
        const std::int64_t hour = hour_of(usage->time);
        if (hour < from || hour >= end) return;
        found[{shown_hour(query, hour), query.by_key ? usage->key : "", query.by_tenant ? usage->tenant : "",
               query.by_model ? usage->model : ""}] += sums_of(*usage);
      },
      position_);
  if (!newer) return fail(newer.error());
  if (found.size() > options_.most_rows)
    return fail(invalid_field(
        "by",
        fmt::format("the answer has more than {} rows; ask for fewer days or names", options_.most_rows)));
  std::vector<UsageRow> rows;
  for (auto& [names, sums] : found) {
    const auto& [hour, key, tenant, model] = names;
    const Hour at{std::chrono::hours(hour)};
    rows.push_back(
        {.day = day_of(at), .key = key, .tenant = tenant, .model = model, .sums = sums, .hour = at});
  }
  return rows;
}

/// A file that is damaged is built anew once; then its disk is.
Result<void> UsageIndex::ensure_open() {
  if (database_) return {};
  auto opened = checked(open());
  if (opened || opened.error().code != ErrorCode::kDataLoss) return opened;
  return checked(open());
}

Result<void> UsageIndex::open() {
  auto database = sqlite::Database::open(options_.path, {.durable = false});
  if (!database) return fail(std::move(database).error());
  database_ = std::move(*database);
  auto version = database_->prepare("PRAGMA user_version");
  if (!version) return fail(std::move(version).error());
  if (const auto row = version->step(); !row) return fail(row.error());
  const std::int64_t schema = version->number(0);
  version->reset();
  if (schema == 0) {
    if (auto made = database_->transaction([&] { return database_->execute(kTables); }); !made) return made;
  } else if (schema != kSchema) {
    return fail(ErrorCode::kDataLoss, "the index of usage has another version");
  }
  auto position = database_->prepare("SELECT next, last_sum FROM position");
  if (!position) return fail(std::move(position).error());
  const auto row = position->step();
  if (!row) return fail(row.error());
  if (!*row) return fail(ErrorCode::kDataLoss, "the index of usage has no position");
  position_ = static_cast<std::uint64_t>(std::max<std::int64_t>(position->number(0), 1));
  last_sum_ = static_cast<std::uint32_t>(position->number(1));
  position->reset();
  const auto same = is_of_this_journal();
  if (!same) return fail(same.error());
  return *same ? Result<void>() : begin_anew();
}

/// Whether the record before the position is the one that was read then, or is not kept any more.
Result<bool> UsageIndex::is_of_this_journal() {
  if (position_ > journal_.next_sequence()) return false;
  bool same = true;
  const auto read = journal_.replay(
      [&](const journal::Record& record) { same = journal::crc32c(record.payload) == last_sum_; },
      std::max<std::uint64_t>(position_, 2) - 1, position_);
  if (!read) return fail(read.error());
  return same;
}

/// What is older than the journal's records cannot be had again, so it stays.
Result<void> UsageIndex::begin_anew() {
  logger_.warning(
      "the index of usage does not go with the journal, and is built anew as far as that reaches back",
      {{"path", options_.path}});
  std::optional<std::int64_t> first;  // records are almost in the order of their times
  const auto read = journal_.replay([&](const journal::Record& record) {
    if (record.kind != kUsageRecordKind) return;
    if (const auto usage = read_usage_record(record.payload))
      first = std::min(first.value_or(hour_of(usage->time)), hour_of(usage->time));
  });
  if (!read) return fail(read.error());
  // An old day's hours stand at its beginning; see `condense`.
  if (first && *first < first_hour(day_of(options_.now()) - options_.hours_kept))
    *first -= *first % kHoursOfADay;
  auto begun = database_->transaction([&]() -> Result<void> {
    if (first) {
      auto remove = database_->prepare("DELETE FROM usage WHERE hour >= ?");
      if (!remove) return fail(std::move(remove).error());
      if (auto done = remove->bind(0, *first).run(); !done) return done;
    }
    return database_->execute("UPDATE position SET next = 1, last_sum = 0");
  });
  if (!begun) return begun;
  position_ = 1;
  last_sum_ = 0;
  return {};
}

Result<void> UsageIndex::add(const Sums& sums, std::uint64_t next) {
  return database_->transaction([&]() -> Result<void> {
    auto insert =
        database_->prepare("INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" + std::string(kAddUp));
    if (!insert) return fail(std::move(insert).error());
    for (const auto& [names, each] : sums) {
      const auto& [hour, key, tenant, model] = names;
      insert->bind(0, hour).bind(1, key).bind(2, tenant).bind(3, model);
      int parameter = 4;
      for (const std::uint64_t number : {each.requests, each.cut, each.prompt_tokens, each.cached_tokens,
                                         each.completion_tokens, each.cost})
        insert->bind(parameter++, stored(number));
      if (auto done = insert->run(); !done) return done;
    }
    auto position = database_->prepare("UPDATE position SET next = ?, last_sum = ?");
    if (!position) return fail(std::move(position).error());
    return position->bind(0, stored(next)).bind(1, std::int64_t{last_sum_}).run();
  });
}

/// Adds up the hours of old days, and removes what is older still.
Result<void> UsageIndex::condense(Day today) {
  return database_->transaction([&]() -> Result<void> {
    const std::int64_t hours_end = first_hour(today - options_.hours_kept);
    auto add_up = database_->prepare(
        "INSERT INTO usage SELECT hour / 24 * 24, key, tenant, model, sum(requests), sum(cut), "
        "sum(prompt_tokens), "
        "sum(cached_tokens), sum(completion_tokens), sum(cost) FROM usage WHERE hour < ? AND hour % 24 > 0 "
        "GROUP BY 1, 2, 3, 4" +
        std::string(kAddUp));
    if (!add_up) return fail(std::move(add_up).error());
    if (auto done = add_up->bind(0, hours_end).run(); !done) return done;
    auto remove = database_->prepare("DELETE FROM usage WHERE (hour < ? AND hour % 24 > 0) OR hour < ?");
    if (!remove) return fail(std::move(remove).error());
    return remove->bind(0, hours_end).bind(1, first_hour(today - options_.days_kept)).run();
  });
}

/// After an error the file is opened anew; a damaged one is removed before.
Result<void> UsageIndex::checked(Result<void> done) {
  if (done) return done;
  database_.reset();
  position_ = 0;
  if (done.error().code == ErrorCode::kDataLoss) {
    logger_.error(
        "the index of usage is damaged, and is built anew from the journal: " + done.error().message,
        {{"path", options_.path}});
    sqlite::Database::remove(options_.path);
  }
  return done;
}

}  // namespace autoglm::gateway
