#include "gateway/admission/keys/key_store.h"

#include "base/utf8.h"
#include "gateway/admission/keys/expiry.h"
#include "gateway/admission/keys/key_json.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace autoglm::gateway {

namespace {

using sqlite::Statement;

// Says whose file it is: "AGLK".
constexpr std::int64_t kApplication = 0x41474C4B;
constexpr std::int64_t kFormat = 1;
constexpr std::size_t kTail = 4;

constexpr const char* kTable =
    "CREATE TABLE keys (name TEXT PRIMARY KEY, rights TEXT NOT NULL, digest TEXT NOT NULL UNIQUE,"
    " tail TEXT NOT NULL, created INTEGER NOT NULL, revoked INTEGER, previous TEXT, previous_until INTEGER)"
    " STRICT";
constexpr const char* kColumns = "name, rights, digest, tail, created, revoked, previous, previous_until";

std::int64_t to_seconds_of(WallTime time) {
  return std::chrono::ceil<std::chrono::seconds>(time).time_since_epoch().count();
}

WallTime from_seconds(std::int64_t seconds) { return WallTime(std::chrono::seconds(seconds)); }

Result<std::int64_t> number_of(sqlite::Database& database, std::string_view sql) {
  auto statement = database.prepare(sql);
  if (!statement) return fail(std::move(statement).error());
  const auto row = statement->step();
  if (!row) return fail(row.error());
  return *row ? statement->number(0) : 0;
}

Error damaged(std::string_view path, std::string_view what) {
  return Error{
      .code = ErrorCode::kDataLoss,
      .message = fmt::format("{} {}; put a backup in its place, or move it away to begin anew", path, what)};
}

/// Makes a new file ours. Errors: it is another program's, or a later version's, or has nothing.
Result<void> prepare_file(sqlite::Database& database, bool is_new) {
  const auto application = number_of(database, "PRAGMA application_id");
  if (!application) return fail(application.error());
  const auto tables = number_of(database, "SELECT count(*) FROM sqlite_schema");
  if (!tables) return fail(tables.error());
  if (*application == 0 && *tables == 0) {
    // Another process may have taken away what was there: its keys would be refused, and their names be free.
    if (!is_new) return fail(damaged(database.path(), "is empty"));
    if (auto made = database.execute(kTable); !made) return made;
    return database.execute(
        fmt::format("PRAGMA application_id = {}; PRAGMA user_version = {}", kApplication, kFormat));
  }
  const auto format = number_of(database, "PRAGMA user_version");
  if (!format) return fail(format.error());
  if (*application != kApplication) return fail(damaged(database.path(), "is a database of another program"));
  if (*format == kFormat) return {};
  return fail(
      damaged(database.path(), fmt::format("has format {}, of another version of this program", *format)));
}

Result<void> check_pages(sqlite::Database& database) {
  auto check = database.prepare("PRAGMA quick_check(1)");
  if (!check) return fail(std::move(check).error());
  const auto row = check->step();
  if (!row) return fail(row.error());
  if (*row && check->text(0) == "ok") return {};
  return fail(damaged(database.path(), fmt::format("is damaged ({})", *row ? check->text(0) : "unreadable")));
}

Result<StoredKey> read_row(const Statement& row, std::string_view path) {
  StoredKey key;
  auto rights = read_key(row.text(1), WallTime());
  const auto digest = parse_digest(row.text(2));
  if (!rights || !digest || rights->name != row.text(0))
    return fail(
        damaged(path, fmt::format("has a key that cannot be read: \"{}\"", excerpt(row.text(0), 64))));
  key.rights = std::move(*rights);
  key.digest = *digest;
  key.tail = row.text(3);
  key.created = from_seconds(row.number(4));
  if (!row.is_null(5)) key.revoked = from_seconds(row.number(5));
  const auto previous = row.is_null(6) ? std::nullopt : parse_digest(row.text(6));
  if (previous) key.previous = {.digest = *previous, .until = from_seconds(row.number(7))};
  return key;
}

Result<std::pair<std::string, KeyDigest>> make_secret() {
  auto key = new_key();
  if (!key) return fail(ErrorCode::kUnavailable, "the system gives no random numbers; no key was made");
  const KeyDigest digest = digest_of_key(*key);
  return std::pair(std::move(*key), digest);
}

Error conflict(std::string message, std::string reason) {
  Error error = invalid_field("name", std::move(message), std::move(reason));
  error.said = std::make_shared<const EndpointAnswer>(EndpointAnswer{.status = 409});
  return error;
}

Result<void> check_rotation(const StoredKey& key, Duration grace, WallTime now) {
  const std::string name = excerpt(key.rights.name, 64);
  if (key.revoked)
    return fail(conflict(fmt::format("the key \"{}\" was revoked; make another one", name), "key_revoked"));
  const auto expires = parse_moment(key.rights.expires);
  if (expires && *expires <= now)
    return fail(conflict(fmt::format("the key \"{}\" has expired; make another one", name), "key_expired"));
  // Whoever asks again has often not heard the first answer, and the holders have the key before it.
  if (grace == Duration::zero() || !key.previous || key.previous->until <= now) return {};
  return fail(
      conflict(fmt::format("the key \"{}\" was rotated, and the one before is good until {}; ask again "
                           "then, or without grace to end both now",
                           name, to_rfc3339(key.previous->until)),
               "rotation_pending"));
}

}  // namespace

Error key_exists(std::string_view name, std::string_view where) {
  return conflict(
      fmt::format("{} has a key \"{}\" already; names are never given twice, since usage is kept by "
                  "name",
                  where, excerpt(name, 64)),
      "key_exists");
}

Error unknown_key(std::string_view name) {
  return Error{.code = ErrorCode::kNotFound,
               .origin = Origin::kClient,
               .message = fmt::format("there is no key \"{}\"", excerpt(name, 64)),
               .param = "name",
               .reason = "unknown_key"};
}

Result<KeyStore::Identity> KeyStore::identity_of(const std::string& path) {
  struct stat found{};
  if (::stat(path.c_str(), &found) == 0) return Identity{.device = found.st_dev, .inode = found.st_ino};
  const ErrorCode code = errno == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable;
  return fail(code, fmt::format("{}: {}", path, std::strerror(errno)));
}

Result<KeyStore> KeyStore::open(Options options) {
  const auto there = identity_of(options.path);
  if (!there && (there.error().code != ErrorCode::kNotFound || !options.create)) return fail(there.error());
  std::error_code gone;
  const bool is_new = options.create && (!there || std::filesystem::file_size(options.path, gone) == 0);
  return open_file(std::move(options), is_new);
}

Result<KeyStore> KeyStore::open_file(Options options, bool is_new) {
  // Without files beside it, in which keys would stand: a backup takes its place by a rename.
  auto database =
      sqlite::Database::open(options.path, {.journal_mode = sqlite::Database::JournalMode::kRollback,
                                            .create = is_new,
                                            .busy_timeout = options.patience});
  if (!database) {
    Error error = std::move(database).error();
    if (error.code == ErrorCode::kUnavailable)
      error.message += "; its folder must exist, and this user must be able to write there";
    if (error.code == ErrorCode::kDataLoss)
      error = damaged(options.path, "is no SQLite database, or damaged");
    return fail(std::move(error));
  }
  const auto identity = identity_of(options.path);
  if (!identity) return fail(identity.error());
  if (auto checked = check_pages(*database); !checked) return fail(std::move(checked).error());
  // Takes the lock of writers, too: a file that cannot be written is found now.
  if (auto made = database->transaction([&] { return prepare_file(*database, is_new); }); !made)
    return fail(std::move(made).error());
  return KeyStore(std::move(options), std::move(*database), *identity);
}

Result<void> KeyStore::follow() {
  const auto now = identity_of(options_.path);
  if (!now) {
    Error error = now.error();
    error.code = ErrorCode::kUnavailable;
    return fail(std::move(error));
  }
  if (*now == identity_) return {};
  auto other = open_file(options_, false);
  if (!other) return fail(std::move(other).error());
  *this = std::move(*other);
  return {};
}

Result<bool> KeyStore::changed() {
  if (auto followed = follow(); !followed) return fail(std::move(followed).error());
  if (seen_ < 0) return true;
  const auto version = number_of(database_, "PRAGMA data_version");
  if (!version) return fail(version.error());
  return *version != seen_;
}

Result<std::vector<StoredKey>> KeyStore::all() {
  if (auto followed = follow(); !followed) return fail(std::move(followed).error());
  const auto version = number_of(database_, "PRAGMA data_version");  // first: a later change is then noticed
  if (!version) return fail(version.error());
  auto select = database_.prepare(fmt::format("SELECT {} FROM keys ORDER BY name", kColumns));
  if (!select) return fail(std::move(select).error());
  std::vector<StoredKey> keys;
  std::vector<std::string> unreadable;
  while (true) {
    const auto row = select->step();
    if (!row) return fail(row.error());
    if (!*row) break;
    // One that cannot be read must not keep the others in force that were revoked since.
    if (auto key = read_row(*select, options_.path)) {
      keys.push_back(std::move(*key));
    } else {
      unreadable.emplace_back(select->text(0));
    }
  }
  unreadable_ = std::move(unreadable);
  seen_ = *version;
  return keys;
}

Result<bool> KeyStore::has(std::string_view name) {
  auto select = database_.prepare("SELECT 1 FROM keys WHERE name = ?");
  if (!select) return fail(std::move(select).error());
  return select->bind(0, name).step();
}

Result<std::optional<StoredKey>> KeyStore::find(std::string_view name) {
  auto select = database_.prepare(fmt::format("SELECT {} FROM keys WHERE name = ?", kColumns));
  if (!select) return fail(std::move(select).error());
  const auto row = select->bind(0, name).step();
  if (!row) return fail(row.error());
  if (!*row) return std::nullopt;
  auto key = read_row(*select, options_.path);
  if (!key) return fail(std::move(key).error());
  return std::optional(std::move(*key));
}

Result<void> KeyStore::write(const StoredKey& key) {
  auto insert = database_.prepare(
      fmt::format("INSERT OR REPLACE INTO keys ({}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", kColumns));
  if (!insert) return fail(std::move(insert).error());
  insert->bind(0, key.rights.name)
      .bind(1, rights_json(key.rights))
      .bind(2, to_hexadecimal(key.digest))
      .bind(3, key.tail)
      .bind(4, to_seconds_of(key.created));
  key.revoked ? insert->bind(5, to_seconds_of(*key.revoked)) : insert->bind_null(5);
  key.previous ? insert->bind(6, to_hexadecimal(key.previous->digest)) : insert->bind_null(6);
  key.previous ? insert->bind(7, to_seconds_of(key.previous->until)) : insert->bind_null(7);
  return insert->run();
}

Result<void> KeyStore::change(FunctionRef<Result<void>()> work) {
  if (auto followed = follow(); !followed) return followed;
  seen_ = -1;
  return database_.transaction(work);
}

Result<MadeKey> KeyStore::create(const KeyConfig& wanted, WallTime now) {
  const auto moment =
      wanted.expires.empty() ? Result<WallTime>(WallTime::max()) : parse_moment(wanted.expires);
  if (!moment) return fail(moment.error());
  if (*moment <= now)
    return fail(invalid_field("expires", fmt::format("expires is {}, which has passed", wanted.expires)));
  auto secret = make_secret();
  if (!secret) return fail(std::move(secret).error());
  auto& [key, digest] = *secret;
  MadeKey made{.stored = {.rights = wanted,
                          .digest = digest,
                          .tail = key.substr(key.size() - kTail),
                          .created = from_seconds(to_seconds_of(now)),
                          .revoked = std::nullopt,
                          .previous = std::nullopt},
               .key = std::move(key)};
  auto done = change([&]() -> Result<void> {
    const auto other = has(wanted.name);
    if (!other) return fail(other.error());
    if (*other) return fail(key_exists(wanted.name, "the key store"));
    const auto count = number_of(database_, "SELECT count(*) FROM keys");
    if (!count) return fail(count.error());
    if (static_cast<std::size_t>(*count) >= kMostKeys) {
      return fail(Error{.code = ErrorCode::kResourceExhausted,
                        .message = fmt::format("the key store has {} keys, the most it takes", *count),
                        .reason = "key_store_full"});
    }
    return write(made.stored);
  });
  if (!done) return fail(std::move(done).error());
  return made;
}

Result<StoredKey> KeyStore::revoke(std::string_view name, WallTime now) {
  StoredKey revoked;
  auto done = change([&]() -> Result<void> {
    auto found = find(name);
    if (!found) return fail(std::move(found).error());
    if (!*found) return fail(unknown_key(name));
    revoked = std::move(**found);
    if (revoked.revoked) return {};
    revoked.revoked = from_seconds(to_seconds_of(now));
    revoked.previous.reset();
    return write(revoked);
  });
  if (!done) return fail(std::move(done).error());
  return revoked;
}

Result<MadeKey> KeyStore::rotate(std::string_view name, Duration grace, WallTime now) {
  auto secret = make_secret();
  if (!secret) return fail(std::move(secret).error());
  auto& [key, digest] = *secret;
  MadeKey made;
  auto done = change([&]() -> Result<void> {
    auto found = find(name);
    if (!found) return fail(std::move(found).error());
    if (!*found) return fail(unknown_key(name));
    made.stored = std::move(**found);
    if (auto may = check_rotation(made.stored, grace, now); !may) return may;
    made.stored.previous.reset();
    if (grace > Duration::zero())
      made.stored.previous = {.digest = made.stored.digest,
                              .until = now + std::chrono::ceil<std::chrono::seconds>(grace)};
    made.stored.digest = digest;
    made.stored.tail = key.substr(key.size() - kTail);
    return write(made.stored);
  });
  if (!done) return fail(std::move(done).error());
  made.key = std::move(key);
  return made;
}

}  // namespace autoglm::gateway
