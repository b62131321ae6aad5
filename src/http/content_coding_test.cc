#include "http/content_coding.h"

#include <brotli/decode.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include <random>

namespace autoglm::http {
namespace {

TEST(ContentCoding, TakesWhatTheClientWantsMost) {
  using enum ContentCoding;
  for (const auto& [header, wanted] : {
           std::pair("", kIdentity),
           std::pair("gzip, deflate", kGzip),
           std::pair("gzip, deflate, br", kBrotli),
           std::pair("gzip, deflate, br, zstd", kZstd),
           std::pair("GZIP", kGzip),
           std::pair("gzip;q=1.0, br;q=0.5", kGzip),
           std::pair("gzip;q=0", kIdentity),
           std::pair("gzip; q=0.001", kGzip),
           std::pair("*", kZstd),
           std::pair("zstd;q=0, *;q=0.5", kBrotli),
           std::pair("identity", kIdentity),
           std::pair("gzip;q=nonsense", kIdentity),
           std::pair("gzip;q=7", kIdentity),
           std::pair(",,;,", kIdentity),
       })
    EXPECT_EQ(choose_coding(header), wanted) << header;
}

std::string decode(ContentCoding coding, std::string_view packed, std::size_t size) {
  std::string out(size, '\0');
  auto* bytes = reinterpret_cast<std::uint8_t*>(out.data());
  if (coding == ContentCoding::kGzip) {
    z_stream stream{};
    EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = static_cast<uInt>(packed.size());
    stream.next_out = bytes;
    stream.avail_out = static_cast<uInt>(size);
    EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
    inflateEnd(&stream);
  } else if (coding == ContentCoding::kBrotli) {
    EXPECT_EQ(BrotliDecoderDecompress(packed.size(), reinterpret_cast<const std::uint8_t*>(packed.data()),
                                      &size, bytes),
              BROTLI_DECODER_RESULT_SUCCESS);
  } else {
    EXPECT_EQ(ZSTD_decompress(out.data(), size, packed.data(), packed.size()), size);
  }
  return out;
}

TEST(ContentCoding, OtherImplementationsReadWhatIsWritten) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "{\"index\":" + std::to_string(i) + ",\"text\":\"word\"},";
  for (const auto coding : {ContentCoding::kGzip, ContentCoding::kBrotli, ContentCoding::kZstd}) {
    const auto packed = encode(coding, text);
    ASSERT_TRUE(packed);
    EXPECT_LT(packed->size(), text.size() / 3);
    EXPECT_EQ(decode(coding, *packed, text.size()), text);
  }
}

TEST(ContentCoding, WhatDoesNotGetShorterStaysAsItIs) {
  std::mt19937 random(7);
  std::string noise(5000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  for (const auto coding : {ContentCoding::kGzip, ContentCoding::kBrotli, ContentCoding::kZstd}) {
    EXPECT_FALSE(encode(coding, noise));
    EXPECT_FALSE(encode(coding, ""));
  }
  EXPECT_FALSE(encode(ContentCoding::kIdentity, "text"));
}

}  // namespace
}  // namespace autoglm::http
