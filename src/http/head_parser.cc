#include "http/head_parser.h"

#include "base/byte_words.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace autoglm::http {

namespace {

std::unexpected<Refusal> refuse(int status, std::string message) {
  return std::unexpected(Refusal{status, std::move(message)});
}

/// RFC 9110 5.6.2, token.
constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr auto kTokenTable = make_token_table();

/// The length of the token that `text` begins with.
std::size_t token_length(std::string_view text) {
  std::size_t length = 0;
  while (length < text.size() && kTokenTable[static_cast<unsigned char>(text[length])]) ++length;
  return length;
}

bool is_token(std::string_view text) { return !text.empty() && token_length(text) == text.size(); }

bool is_target_char(char c) { return c > 0x20 && c < 0x7f; }
/// Visible characters, space, tab, and bytes beyond ASCII, which may be old Latin-1.
bool is_value(std::string_view text) {
  const auto suspicious = [](std::uint64_t word) {
    return byte_words::below(word, ' ') | byte_words::equal(word, '\x7f');
  };
  if (!byte_words::any(text, suspicious)) return true;
  return std::ranges::all_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
  });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Takes one line, which ends in CRLF (the scanner saw to it), off the front of `rest`.
std::string_view take_line(std::string_view& rest) {
  const std::size_t end = rest.find("\r\n");
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 2);
  return line;
}

Parsed<void> parse_fields(std::string_view rest, const HeadLimits& limits, HeaderView& headers) {
  while (true) {
    const std::string_view line = take_line(rest);
    if (line.empty()) return {};
    if (headers.fields().size() == limits.fields) {
      return refuse(431, "the request has more than " + std::to_string(limits.fields) + " header fields");
    }
    if (line.front() == ' ' || line.front() == '\t')
      return refuse(400, "folded header lines are not accepted");
    const std::size_t colon = token_length(line);
    if (colon == 0 || colon == line.size() || line[colon] != ':') {
      return refuse(400, "a header line has no valid name before its colon");
    }
    const std::string_view value = trim(line.substr(colon + 1));
    if (!is_value(value)) return refuse(400, "a header value contains a control character");
    headers.add(line.substr(0, colon), value);
  }
}

Parsed<std::uint64_t> parse_length(std::string_view text) {
  // 18 digits cannot overflow, and a body of an exabyte is no real request.
  if (text.empty() || text.size() > 18 ||
      !std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; })) {
    return refuse(400, "Content-Length is not a number");
  }
  std::uint64_t length = 0;
  for (const char c : text) length = length * 10 + static_cast<std::uint64_t>(c - '0');
  return length;
}

/// RFC 9112 6.3, but ambiguous framing is refused, not repaired.
Parsed<BodyFraming> parse_framing(const HeaderView& headers, int minor_version) {
  std::size_t lengths = 0;
  std::size_t encodings = 0;
  std::string_view length_text;
  std::string_view encoding;
  for (const auto& [name, value] : headers.fields()) {
    if (equals_ignoring_case(name, "content-length")) {
      ++lengths;
      length_text = value;
    } else if (equals_ignoring_case(name, "transfer-encoding")) {
      ++encodings;
      encoding = value;
    }
  }
  if (lengths > 1) return refuse(400, "more than one Content-Length");
  if (encodings > 0) {
    if (lengths > 0) return refuse(400, "both Content-Length and Transfer-Encoding");
    if (minor_version == 0) return refuse(400, "Transfer-Encoding in HTTP/1.0");
    if (encodings > 1 || !equals_ignoring_case(encoding, "chunked")) {
      return refuse(501, "the only transfer coding accepted is a single \"chunked\"");
    }
    return BodyFraming{BodyFraming::Kind::kChunked};
  }
  if (lengths == 0) return BodyFraming{};
  const auto length = parse_length(length_text);
  if (!length) return std::unexpected(length.error());
  return BodyFraming{BodyFraming::Kind::kLength, *length};
}

bool keeps_alive(const HeaderView& headers, int minor_version) {
  bool keep = minor_version >= 1;
  for (const auto& [name, value] : headers.fields()) {
    if (!equals_ignoring_case(name, "connection")) continue;
    if (list_contains(value, "close")) return false;
    if (list_contains(value, "keep-alive")) keep = true;
  }
  return keep;
}

/// RFC 9110 7.2: a name, an IPv4 address or an IPv6 one in brackets, perhaps with a port; or nothing at all.
bool is_host(std::string_view text) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const auto is_hex = [&](char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); };
  std::size_t end = 0;  // of the host's name
  if (text.starts_with('[')) {
    end = text.find(']');
    if (end == std::string_view::npos || end < 3) return false;
    const auto inside = [&](char c) { return is_hex(c) || c == ':' || c == '.'; };
    if (!std::ranges::all_of(text.substr(1, end - 1), inside)) return false;
    ++end;
  } else {
    end = std::min(text.find(':'), text.size());
    const auto in_name = [](char c) {
      return kTokenTable[static_cast<unsigned char>(c)] ? c != '#' && c != '^' && c != '`' && c != '|'
                                                        : std::string_view("(),;=").contains(c);
    };
    if (!std::ranges::all_of(text.substr(0, end), in_name)) return false;
  }
  if (end == text.size()) return true;
  return end > 0 && text[end] == ':' && std::ranges::all_of(text.substr(end + 1), is_digit);
}

/// A later 1.x is answered as 1.1 (RFC 9110 2.5).
Parsed<int> parse_version(std::string_view text) {
  const bool is_1_x = text.size() == 8 && text.starts_with("HTTP/1.") && text[7] >= '0' && text[7] <= '9';
  if (is_1_x) return text[7] == '0' ? 0 : 1;
  if (text.starts_with("HTTP/")) return refuse(505, "this server speaks HTTP/2, HTTP/1.1 and HTTP/1.0");
  return refuse(400, "the request line does not end in an HTTP version");
}

Parsed<void> split_target(Request& request) {
  std::string_view rest = request.target;
  if (!std::ranges::all_of(rest, is_target_char) || rest.find('#') != std::string_view::npos) {
    return refuse(400, "the request target contains a character that must be percent-encoded");
  }
  if (rest.starts_with("http://") || rest.starts_with("https://")) {  // absolute-form, as to a proxy
    const std::size_t authority_end = rest.find_first_of("/?", rest.find("//") + 2);
    rest = authority_end == std::string_view::npos ? std::string_view("/") : rest.substr(authority_end);
  } else if (rest != "*" && !rest.starts_with('/')) {
    return refuse(400, "the request target must begin with a slash");
  }
  const std::size_t mark = rest.find('?');
  request.path = mark == 0 ? std::string_view("/") : rest.substr(0, mark);  // "http://host?query"
  if (mark != std::string_view::npos) request.query = rest.substr(mark + 1);
  return {};
}

}  // namespace

Parsed<std::optional<std::size_t>> HeadScanner::scan(std::string_view buffer) {
  while (true) {
    const std::size_t newline = buffer.find('\n', line_start_);
    if (newline == std::string_view::npos || newline >= max_bytes_) {
      if (buffer.size() > max_bytes_) {
        return refuse(431, "the request's header is larger than " + std::to_string(max_bytes_) + " bytes");
      }
      return std::nullopt;
    }
    if (newline == line_start_ || buffer[newline - 1] != '\r') {
      return refuse(400, "a header line ends in LF without CR");
    }
    const bool empty = newline == line_start_ + 1;
    line_start_ = newline + 1;
    if (empty) return line_start_;
  }
}

Parsed<void> parse_request_head(std::string head, const HeadLimits& limits, Request& request) {
  request.head = std::move(head);
  std::string_view rest = request.head;
  const std::string_view line = take_line(rest);
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return refuse(400, "the request line is malformed");
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  const auto version = parse_version(line.substr(last + 1));
  if (!version) return std::unexpected(version.error());
  request.minor_version = *version;
  if (auto fields = parse_fields(rest, limits, request.headers); !fields) return fields;
  const std::size_t hosts = request.headers.count("host");
  if (hosts > 1 || (hosts == 0 && request.minor_version == 1)) {
    return refuse(400, "an HTTP/1.1 request needs exactly one Host header");
  }
  request.keep_alive = keeps_alive(request.headers, request.minor_version);
  return check_request(request);
}

Parsed<void> check_request(Request& request) {
  if (!is_token(request.method) || request.method.size() > 32)
    return refuse(400, "the request method is malformed");
  if (auto split = split_target(request); !split) return split;
  if (const auto host = request.headers.find("host"); host && !is_host(*host))
    return refuse(400, "the Host header is no host, perhaps with a port");
  const auto framing = parse_framing(request.headers, request.minor_version);
  if (!framing) return std::unexpected(framing.error());
  request.framing = *framing;
  if (const auto expect = request.headers.find("expect")) {
    if (!equals_ignoring_case(*expect, "100-continue"))
      return refuse(417, "the only expectation known is 100-continue");
    request.expects_continue = request.major_version > 1 || request.minor_version == 1;
  }
  return {};
}

Parsed<void> parse_response_head(std::string head, std::string_view method, const HeadLimits& limits,
                                 ResponseHead& response) {
  response.head = std::move(head);
  std::string_view rest = response.head;
  const std::string_view line = take_line(rest);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (line.size() < 12 || !line.starts_with("HTTP/1.") || !is_digit(line[7]) || line[8] != ' ' ||
      line[9] == '0' || line[9] > '5' || !std::ranges::all_of(line.substr(9, 3), is_digit) ||
      (line.size() > 12 && line[12] != ' ')) {
    return refuse(502, "the status line is malformed");
  }
  response.minor_version = line[7] == '0' ? 0 : 1;  // a later 1.x is read as 1.1
  response.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
  if (auto fields = parse_fields(rest, limits, response.headers); !fields)
    return refuse(502, fields.error().message);
  response.keep_alive = keeps_alive(response.headers, response.minor_version);
  if (method == "HEAD" || ends_with_head(response.status)) return {};
  const auto framing = parse_framing(response.headers, response.minor_version);
  if (!framing) return refuse(502, framing.error().message);
  response.framing = *framing;
  if (framing->kind == BodyFraming::Kind::kNone) {
    response.framing.kind = BodyFraming::Kind::kUntilClose;
    response.keep_alive = false;
  }
  return {};
}

bool valid_field_line(std::string_view line) {
  const std::size_t colon = line.find(':');
  return colon != std::string_view::npos && is_token(line.substr(0, colon)) &&
         is_value(line.substr(colon + 1));
}

}  // namespace autoglm::http
