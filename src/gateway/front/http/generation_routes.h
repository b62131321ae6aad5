#pragma once

#include "gateway/front/call/generation_call.h"
#include "gateway/front/http/route.h"
#include "gateway/pipeline.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace autoglm::gateway {

/// A codec at a path; `error_body` is its protocol's.
Route generation_route(std::string_view path, std::string_view example,
                       std::shared_ptr<const protocol::Codec> codec, const Pipeline& pipeline,
                       std::shared_ptr<const GenerationSettings> settings,
                       std::string (*error_body)(const Error&) = protocol::openai::error_body);

/// The routes by which models are asked: each a codec at a path.
std::vector<Route> generation_routes(const Pipeline& pipeline, GenerationSettings settings);

}  // namespace autoglm::gateway
