#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace autoglm::fuzzing {

inline void add_frame(std::string& out, char type, char flags, std::uint32_t stream,
                      std::string_view payload) {
  for (const unsigned shift : {16U, 8U, 0U}) out += static_cast<char>(payload.size() >> shift);
  out += type;
  out += flags;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) out += static_cast<char>(stream >> shift);
  out += payload;
}

/// The beginning of a client's connection.
inline std::string http2_opening() {
  std::string out = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  add_frame(out, 4, 0, 0, "");  // SETTINGS
  return out;
}

/// A complete POST request.
inline std::string http2_request(std::uint32_t stream, std::string_view path, std::string_view body) {
  std::string head = "\x83\x86\x01\x01h\x04";  // POST, http, and two literal fields
  head += static_cast<char>(path.size());
  head += path;
  std::string out;
  add_frame(out, 1, 4, stream, head);                  // HEADERS, END_HEADERS
  add_frame(out, 0, 1, stream, body.substr(0, 4096));  // DATA, END_STREAM
  return out;
}

}  // namespace autoglm::fuzzing
