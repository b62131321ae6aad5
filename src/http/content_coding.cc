#include "http/content_coding.h"

#include "http/message.h"
#include "runtime/event_loop.h"

#include <brotli/decode.h>
#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace autoglm::http {

namespace {

// Fast levels: a core that serves models has better uses than the last per cent of compression.
constexpr int kGzipLevel = 1;
constexpr int kBrotliQuality = 2;
constexpr int kZstdLevel = 1;
constexpr std::size_t kPiece = std::size_t{64} * 1024;  // about a millisecond for the slowest coding

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// The weight of ";q=0.5"; 1 when there is none, 0 when it is malformed.
double weight_of(std::string_view parameters) {
  const std::size_t q = parameters.find("q=");
  if (q == std::string_view::npos) return 1;
  const std::string_view number = trimmed(parameters.substr(q + 2));
  double weight = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), weight);
  return error == std::errc() && weight >= 0 && weight <= 1 ? weight : 0;
}

/// Space at the end of `out` for the next output; on destruction `out` shrinks to what was written.
class Room {
 public:
  explicit Room(std::string& out) : out_(out), used_(out.size()) { out_.resize(used_ + kStep); }
  ~Room() { out_.resize(used_); }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  char* begin() { return out_.data() + used_; }
  std::size_t size() const { return out_.size() - used_; }
  void use(std::size_t bytes) { used_ += bytes; }

 private:
  static constexpr std::size_t kStep = std::size_t{32} * 1024;
  std::string& out_;
  std::size_t used_;
};

class GzipEncoder final : public Encoder {
 public:
  GzipEncoder() {
    constexpr int kWithGzipHeader = 15 + 16;
    good_ = deflateInit2(&stream_, kGzipLevel, Z_DEFLATED, kWithGzipHeader, 8, Z_DEFAULT_STRATEGY) == Z_OK;
  }
  ~GzipEncoder() override { deflateEnd(&stream_); }
  GzipEncoder(const GzipEncoder&) = delete;
  GzipEncoder& operator=(const GzipEncoder&) = delete;

  bool add(std::string_view piece, bool last, std::string& out) override {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
    stream_.avail_in = static_cast<uInt>(piece.size());
    int status = Z_OK;
    do {
      Room room(out);
      stream_.next_out = reinterpret_cast<Bytef*>(room.begin());
      stream_.avail_out = static_cast<uInt>(room.size());
      if (good_) status = deflate(&stream_, last ? Z_FINISH : Z_NO_FLUSH);
      good_ = good_ && (status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR);
      room.use(room.size() - stream_.avail_out);
    } while (good_ && (last ? status != Z_STREAM_END : stream_.avail_out == 0));
    return good_;
  }

 private:
  z_stream stream_{};
  bool good_ = false;
};

class BrotliEncoder final : public Encoder {
 public:
  explicit BrotliEncoder(std::size_t size) {
    if (!state_) return;
    BrotliEncoderSetParameter(state_.get(), BROTLI_PARAM_QUALITY, kBrotliQuality);
    BrotliEncoderSetParameter(state_.get(), BROTLI_PARAM_MODE, BROTLI_MODE_TEXT);
    BrotliEncoderSetParameter(state_.get(), BROTLI_PARAM_SIZE_HINT,
                              static_cast<std::uint32_t>(std::min(size, kLargestHint)));
  }

  bool add(std::string_view piece, bool last, std::string& out) override {
    std::size_t left = piece.size();
    const auto* next = reinterpret_cast<const std::uint8_t*>(piece.data());
    const auto operation = last ? BROTLI_OPERATION_FINISH : BROTLI_OPERATION_PROCESS;
    bool good = state_ != nullptr;
    do {
      Room room(out);
      std::size_t free = room.size();
      auto* to = reinterpret_cast<std::uint8_t*>(room.begin());
      good = good && BrotliEncoderCompressStream(state_.get(), operation, &left, &next, &free, &to,
                                                 nullptr) == BROTLI_TRUE;
      room.use(room.size() - free);
    } while (good && (left > 0 || BrotliEncoderHasMoreOutput(state_.get()) == BROTLI_TRUE));
    return good;
  }

 private:
  static constexpr std::size_t kLargestHint = std::size_t{1} << 30U;
  struct Freer {
    void operator()(BrotliEncoderState* state) const { BrotliEncoderDestroyInstance(state); }
  };
  std::unique_ptr<BrotliEncoderState, Freer> state_{BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)};
};

class ZstdEncoder final : public Encoder {
 public:
  explicit ZstdEncoder(std::size_t size) {
    ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, kZstdLevel);
    ZSTD_CCtx_setPledgedSrcSize(context_.get(), size);
  }

  bool add(std::string_view piece, bool last, std::string& out) override {
    ZSTD_inBuffer in{piece.data(), piece.size(), 0};
    std::size_t left = 0;
    do {
      Room room(out);
      ZSTD_outBuffer to{room.begin(), room.size(), 0};
      left = ZSTD_compressStream2(context_.get(), &to, &in, last ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left) != 0) return false;
      room.use(to.pos);
    } while (in.pos < in.size || (last && left > 0));
    return true;
  }

 private:
  struct Freer {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Freer> context_{ZSTD_createCCtx()};
};

class GzipDecoder final : public Decoder {
 public:
  GzipDecoder() {
    constexpr int kAnyHeader = 15 + 32;  // gzip's, or zlib's, which HTTP calls deflate
    good_ = inflateInit2(&stream_, kAnyHeader) == Z_OK;
  }
  ~GzipDecoder() override { inflateEnd(&stream_); }
  GzipDecoder(const GzipDecoder&) = delete;
  GzipDecoder& operator=(const GzipDecoder&) = delete;

  bool take(std::string_view& piece, std::string& out) override {
    if (done_ && piece.empty()) return true;
    if (done_) good_ = good_ && inflateReset(&stream_) == Z_OK;  // another member
    done_ = false;
    Room room(out);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
    stream_.avail_in = static_cast<uInt>(std::min<std::size_t>(piece.size(), kStep));
    const uInt given = stream_.avail_in;
    stream_.next_out = reinterpret_cast<Bytef*>(room.begin());
    stream_.avail_out = static_cast<uInt>(room.size());
    const int status = good_ ? inflate(&stream_, Z_NO_FLUSH) : Z_DATA_ERROR;
    good_ = status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR;
    done_ = status == Z_STREAM_END;
    room.use(room.size() - stream_.avail_out);
    piece.remove_prefix(given - stream_.avail_in);
    return good_;
  }
  bool done() const override { return done_; }

 private:
  z_stream stream_{};
  bool good_ = false;
  bool done_ = false;
};

class BrotliDecoder final : public Decoder {
 public:
  bool take(std::string_view& piece, std::string& out) override {
    if (done_) return piece.empty();
    Room room(out);
    std::size_t left = piece.size();
    const auto* next = reinterpret_cast<const std::uint8_t*>(piece.data());
    std::size_t free = room.size();
    auto* to = reinterpret_cast<std::uint8_t*>(room.begin());
    const auto status = state_
                            ? BrotliDecoderDecompressStream(state_.get(), &left, &next, &free, &to, nullptr)
                            : BROTLI_DECODER_RESULT_ERROR;
    room.use(room.size() - free);
    piece.remove_prefix(piece.size() - left);
    done_ = status == BROTLI_DECODER_RESULT_SUCCESS;
    return status != BROTLI_DECODER_RESULT_ERROR;
  }
  bool done() const override { return done_; }

 private:
  struct Freer {
    void operator()(BrotliDecoderState* state) const { BrotliDecoderDestroyInstance(state); }
  };
  std::unique_ptr<BrotliDecoderState, Freer> state_{BrotliDecoderCreateInstance(nullptr, nullptr, nullptr)};
  bool done_ = false;
};

class ZstdDecoder final : public Decoder {
 public:
  bool take(std::string_view& piece, std::string& out) override {
    ZSTD_inBuffer in{piece.data(), piece.size(), 0};
    Room room(out);
    ZSTD_outBuffer to{room.begin(), room.size(), 0};
    const std::size_t left = ZSTD_decompressStream(context_.get(), &to, &in);
    if (ZSTD_isError(left) != 0) return false;
    room.use(to.pos);
    if (in.pos > 0 || to.pos > 0) done_ = left == 0;
    piece.remove_prefix(in.pos);
    return true;
  }
  bool done() const override { return done_; }

 private:
  struct Freer {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Freer> context_{ZSTD_createDCtx()};
  bool done_ = false;
};

}  // namespace

std::optional<ContentCoding> coding_of(std::string_view content_encoding) {
  const std::string_view name = trimmed(content_encoding);
  if (name.empty() || equals_ignoring_case(name, "identity")) return ContentCoding::kIdentity;
  for (const char* gzip : {"gzip", "x-gzip", "deflate"}) {
    if (equals_ignoring_case(name, gzip)) return ContentCoding::kGzip;
  }
  if (equals_ignoring_case(name, "br")) return ContentCoding::kBrotli;
  if (equals_ignoring_case(name, "zstd")) return ContentCoding::kZstd;
  return std::nullopt;
}

std::unique_ptr<Decoder> Decoder::create(ContentCoding coding) {
  switch (coding) {
    case ContentCoding::kIdentity:
      return nullptr;
    case ContentCoding::kGzip:
      return std::make_unique<GzipDecoder>();
    case ContentCoding::kBrotli:
      return std::make_unique<BrotliDecoder>();
    case ContentCoding::kZstd:
      return std::make_unique<ZstdDecoder>();
  }
  std::unreachable();
}

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

std::unique_ptr<Encoder> Encoder::create(ContentCoding coding, std::size_t size) {
  switch (coding) {
    case ContentCoding::kIdentity:
      return nullptr;
    case ContentCoding::kGzip:
      return std::make_unique<GzipEncoder>();
    case ContentCoding::kBrotli:
      return std::make_unique<BrotliEncoder>(size);
    case ContentCoding::kZstd:
      return std::make_unique<ZstdEncoder>(size);
  }
  std::unreachable();
}

Task<std::optional<std::string>> encode(ContentCoding coding, std::string_view body) {
  const auto encoder = Encoder::create(coding, body.size());
  if (!encoder || body.empty()) co_return std::nullopt;
  std::string out;
  for (std::size_t at = 0; at < body.size(); at += kPiece) {
    if (at > 0) co_await yield_to_loop();
    const std::string_view piece = body.substr(at, kPiece);
    if (!encoder->add(piece, at + piece.size() == body.size(), out)) co_return std::nullopt;
    if (out.size() >= body.size()) co_return std::nullopt;
  }
  co_return out;
}

}  // namespace autoglm::http
