#include "http/chunked.h"

#include "http/head_parser.h"

#include <algorithm>

namespace autoglm::http {

namespace {

constexpr std::size_t kMaxLine = 1024;  // a size with extensions, or a trailer field
constexpr std::size_t kMaxTrailers = 8 * 1024;

std::unexpected<Refusal> refuse(std::string message) {
  return std::unexpected(Refusal{400, std::move(message)});
}

}  // namespace

Parsed<std::optional<std::string_view>> ChunkedDecoder::take_line(std::string_view input, std::size_t& used) {
  const std::size_t newline = input.find('\n', used);
  const std::size_t end = newline == std::string_view::npos ? input.size() : newline + 1;
  partial_.append(input.substr(used, end - used));
  used = end;
  if (partial_.size() > kMaxLine) return refuse("a line of the chunked body is too long");
  if (newline == std::string_view::npos) return std::nullopt;
  if (partial_.size() < 2 || partial_[partial_.size() - 2] != '\r') {
    return refuse("a line of the chunked body ends in LF without CR");
  }
  return std::string_view(partial_).substr(0, partial_.size() - 2);
}

Parsed<void> ChunkedDecoder::begin_chunk(std::string_view line) {
  std::uint64_t size = 0;
  std::size_t digits = 0;
  for (; digits < line.size(); ++digits) {
    const char c = line[digits];
    int value = -1;
    if (c >= '0' && c <= '9') value = c - '0';
    if (c >= 'a' && c <= 'f') value = c - 'a' + 10;
    if (c >= 'A' && c <= 'F') value = c - 'A' + 10;
    if (value < 0) break;
    size = size * 16 + static_cast<std::uint64_t>(value);
  }
  const std::string_view extension = line.substr(digits);
  const bool clean =
      std::ranges::all_of(extension, [](char c) { return c == '\t' || (c >= 0x20 && c < 0x7f); });
  if (digits == 0 || digits > 15 || (!extension.empty() && extension.front() != ';') || !clean) {
    return refuse("a chunk size is malformed");
  }
  left_ = size;
  state_ = size == 0 ? State::kTrailer : State::kData;
  return {};
}

Parsed<std::size_t> ChunkedDecoder::decode(std::string_view input, std::string& out) {
  std::size_t used = 0;
  while (used < input.size() && state_ != State::kDone) {
    if (state_ == State::kData) {
      const auto step = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size() - used));
      out.append(input.substr(used, step));
      used += step;
      left_ -= step;
      if (left_ == 0) state_ = State::kDataEnd;
      continue;
    }
    const auto line = take_line(input, used);
    if (!line) return std::unexpected(line.error());
    if (!*line) return used;
    if (state_ == State::kDataEnd) {
      if (!(*line)->empty()) return refuse("a chunk is longer than its size says");
      state_ = State::kSizeLine;
    } else if (state_ == State::kSizeLine) {
      if (auto begun = begin_chunk(**line); !begun) return std::unexpected(begun.error());
    } else if ((*line)->empty()) {
      state_ = State::kDone;
    } else {
      trailer_bytes_ += (*line)->size();
      if (trailer_bytes_ > kMaxTrailers || !valid_field_line(**line))
        return refuse("the trailer section is malformed or too large");
    }
    partial_.clear();
  }
  return used;
}

}  // namespace autoglm::http
