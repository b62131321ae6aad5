#include "http/content_coding.h"

#include "http/client.h"
#include "http/testing/scripted_server.h"
#include "runtime/scope.h"
#include "runtime/testing/run_task.h"

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
  EventLoop loop;
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "{\"index\":" + std::to_string(i) + ",\"text\":\"word\"},";
  for (const auto coding : {ContentCoding::kGzip, ContentCoding::kBrotli, ContentCoding::kZstd}) {
    const auto packed = run_task(loop, encode(coding, text));
    ASSERT_TRUE(packed);
    EXPECT_LT(packed->size(), text.size() / 3);
    EXPECT_EQ(decode(coding, *packed, text.size()), text);
  }
}

TEST(ContentCoding, WhatDoesNotGetShorterStaysAsItIs) {
  EventLoop loop;
  std::mt19937 random(7);
  std::string noise(5000, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  for (const auto coding : {ContentCoding::kGzip, ContentCoding::kBrotli, ContentCoding::kZstd}) {
    EXPECT_FALSE(run_task(loop, encode(coding, noise)));
    EXPECT_FALSE(run_task(loop, encode(coding, "")));
  }
  EXPECT_FALSE(run_task(loop, encode(ContentCoding::kIdentity, "text")));
}

TEST(ContentCoding, OthersHaveTheLoopInBetween) {
  EventLoop loop;
  std::string text;
  while (text.size() < 1'000'000)
    text += "{\"index\":" + std::to_string(text.size()) + ",\"text\":\"word\"},";
  for (const auto coding : {ContentCoding::kGzip, ContentCoding::kBrotli, ContentCoding::kZstd}) {
    int turns = 0;
    const auto packed = run_task(loop, [&]() -> Task<std::optional<std::string>> {
      Scope others;
      others.spawn([](int& count) -> Task<void> {
        for (;; ++count) co_await yield_to_loop();
      }(turns));
      co_return co_await encode(coding, text);
    }());
    ASSERT_TRUE(packed);
    EXPECT_EQ(decode(coding, *packed, text.size()), text);
    EXPECT_GE(turns, 10) << to_string(coding);
  }
}

TEST(Decoder, UnpacksInBoundedStepsWhateverTheReadsAre) {
  std::string body;
  while (body.size() < 300'000) body += "line " + std::to_string(body.size() % 977) + "\n";
  EventLoop loop;
  for (const auto coding : {ContentCoding::kGzip, ContentCoding::kBrotli, ContentCoding::kZstd}) {
    const std::string packed = run_task(loop, encode(coding, body)).value();
    for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, packed.size()}) {
      const auto decoder = Decoder::create(coding);
      std::string out;
      for (std::size_t at = 0; at < packed.size(); at += piece) {
        std::string_view rest = std::string_view(packed).substr(at, piece);
        while (true) {
          const std::size_t before = out.size();
          ASSERT_TRUE(decoder->take(rest, out));
          ASSERT_LE(out.size() - before, Decoder::kStep);
          if (out.size() == before && rest.empty()) break;
        }
        ASSERT_EQ(decoder->done(), at + piece >= packed.size()) << to_string(coding);
      }
      EXPECT_EQ(out, body) << to_string(coding) << " by " << piece;
    }
    std::string_view cut = std::string_view(packed).substr(0, packed.size() / 2);
    const auto decoder = Decoder::create(coding);
    std::string out;
    while (!cut.empty()) ASSERT_TRUE(decoder->take(cut, out));
    EXPECT_FALSE(decoder->done());
  }
}

TEST(Decoder, KnowsTheNamesOfCodings) {
  EXPECT_EQ(coding_of(""), ContentCoding::kIdentity);
  EXPECT_EQ(coding_of(" Identity "), ContentCoding::kIdentity);
  EXPECT_EQ(coding_of("x-gzip"), ContentCoding::kGzip);
  EXPECT_EQ(coding_of("deflate"), ContentCoding::kGzip);
  EXPECT_EQ(coding_of("BR"), ContentCoding::kBrotli);
  EXPECT_EQ(coding_of("zstd"), ContentCoding::kZstd);
  EXPECT_EQ(coding_of("gzip, br"), std::nullopt);
  EXPECT_EQ(coding_of("rot13"), std::nullopt);
  EXPECT_EQ(Decoder::create(ContentCoding::kIdentity), nullptr);
}

TEST(ContentCoding, AnswersMayHavePartsThatHoldNothing) {
  EventLoop loop;
  run_task(loop, [&]() -> Task<void> {
    const std::string said(1000, 'x');
    std::string packed;
    for (int i = 0; i < 20'000; ++i) packed += std::string("\x50\x2A\x4D\x18\0\0\0\0", 8);  // skipped
    packed += (co_await encode(ContentCoding::kZstd, said)).value();
    ScriptedServer server({"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: " +
                           std::to_string(packed.size()) + "\r\n\r\n" + packed});
    BlockingPool pool(1, 8);
    Client client(pool, nullptr);
    auto response = co_await client.send({.url = Url::parse(server.url()).value(), .headers = {}});
    EXPECT_TRUE(response && (*response)->unpack());
    const auto body = co_await (*response)->read_all(2000);
    EXPECT_EQ(body.value_or("nothing"), said);
  }());
}

TEST(ContentCoding, SeveralFieldsAreOneList) {
  EventLoop loop;
  run_task(loop, [&]() -> Task<void> {
    ScriptedServer server(
        {"HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Encoding: gzip\r\n"
         "Content-Length: 2\r\n\r\nok"});
    BlockingPool pool(1, 8);
    Client client(pool, nullptr);
    auto response = co_await client.send({.url = Url::parse(server.url()).value(), .headers = {}});
    EXPECT_TRUE(response && !(*response)->unpack()) << "packed twice is not understood";
  }());
}

}  // namespace
}  // namespace autoglm::http
