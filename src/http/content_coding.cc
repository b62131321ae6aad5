#include "http/content_coding.h"

#include "http/message.h"

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include <array>
#include <charconv>
#include <utility>

namespace autoglm::http {

namespace {

// Fast levels: a core that serves models has better things to do than the last per cent.
constexpr int kGzipLevel = 1;
constexpr int kBrotliQuality = 2;
constexpr int kZstdLevel = 1;

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// ";q=0.5" and its like; 1 when there is none, 0 for what cannot be read.
double weight_of(std::string_view parameters) {
  const std::size_t q = parameters.find("q=");
  if (q == std::string_view::npos) return 1;
  const std::string_view number = trimmed(parameters.substr(q + 2));
  double weight = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), weight);
  return error == std::errc() && weight >= 0 && weight <= 1 ? weight : 0;
}

bool gzip(std::string_view body, std::string& out) {
  z_stream stream{};
  constexpr int kWithGzipHeader = 15 + 16;
  if (deflateInit2(&stream, kGzipLevel, Z_DEFLATED, kWithGzipHeader, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return false;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const bool done = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return done;
}

bool brotli(std::string_view body, std::string& out) {
  std::size_t size = out.size();
  const bool done = BrotliEncoderCompress(kBrotliQuality, BROTLI_DEFAULT_WINDOW, BROTLI_MODE_TEXT,
                                          body.size(), reinterpret_cast<const std::uint8_t*>(body.data()),
                                          &size, reinterpret_cast<std::uint8_t*>(out.data())) == BROTLI_TRUE;
  out.resize(done ? size : 0);
  return done;
}

bool zstd(std::string_view body, std::string& out) {
  const std::size_t size = ZSTD_compress(out.data(), out.size(), body.data(), body.size(), kZstdLevel);
  const bool done = ZSTD_isError(size) == 0;
  out.resize(done ? size : 0);
  return done;
}

}  // namespace

std::string_view to_string(ContentCoding coding) {
  switch (coding) {
    case ContentCoding::kIdentity:
      return "identity";
    case ContentCoding::kGzip:
      return "gzip";
    case ContentCoding::kBrotli:
      return "br";
    case ContentCoding::kZstd:
      return "zstd";
  }
  std::unreachable();
}

ContentCoding choose_coding(std::string_view accept_encoding) {
  static constexpr std::array kByCost = {ContentCoding::kZstd, ContentCoding::kBrotli, ContentCoding::kGzip};
  std::array<double, kByCost.size()> weights{};
  std::array<bool, kByCost.size()> named{};
  double others = 0;
  for (std::string_view rest = accept_encoding; !rest.empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view item = trimmed(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    const std::size_t semicolon = std::min(item.find(';'), item.size());
    const std::string_view name = trimmed(item.substr(0, semicolon));
    const double weight = weight_of(item.substr(semicolon));
    if (name == "*") others = weight;
    for (std::size_t i = 0; i < kByCost.size(); ++i) {
      if (!equals_ignoring_case(name, to_string(kByCost[i]))) continue;
      weights[i] = weight;
      named[i] = true;
    }
  }
  ContentCoding best = ContentCoding::kIdentity;
  double most = 0;
  for (std::size_t i = 0; i < kByCost.size(); ++i) {
    const double weight = named[i] ? weights[i] : others;
    if (weight <= most) continue;
    most = weight;
    best = kByCost[i];
  }
  return best;
}

std::optional<std::string> encode(ContentCoding coding, std::string_view body) {
  // Room for what is shorter: an encoder that needs more has failed.
  std::string out(body.empty() ? 0 : body.size() - 1, '\0');
  bool done = false;
  switch (coding) {
    case ContentCoding::kIdentity:
      break;
    case ContentCoding::kGzip:
      done = gzip(body, out);
      break;
    case ContentCoding::kBrotli:
      done = brotli(body, out);
      break;
    case ContentCoding::kZstd:
      done = zstd(body, out);
      break;
  }
  if (!done) return std::nullopt;
  return out;
}

}  // namespace autoglm::http
