#pragma once

#include "base/result.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

struct sqlite3_stmt;

namespace autoglm::sqlite {

/// A prepared statement of a Database, which must outlive it; for its thread and its errors see there.
/// Parameters and columns are counted from 0. Values that were bound stay for the next run.
class Statement {
 public:
  /// Bound values are copied. A mistake shows as the error of the next `step`.
  Statement& bind(int parameter, std::int64_t value);
  Statement& bind(int parameter, std::string_view text);
  Statement& bind_null(int parameter);

  /// The next row of the result; false: there is none, and the next `step` begins anew.
  Result<bool> step();
  /// Steps to the end; rows are left out.
  Result<void> run();
  /// Ends a result before its last row.
  void reset();

  // Of the present row. Texts are valid until the next call of anything but these.
  std::int64_t number(int column) const;
  std::string_view text(int column) const;
  bool is_null(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* handle) : handle_(handle) {}
  void note(int code) {
    if (bound_ == 0) bound_ = code;
  }

  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
  int bound_ = 0;  // the first mistake of a bind
};

}  // namespace autoglm::sqlite
