# llama.cpp as the INTERFACE target `llama_cpp`: llama, ggml and the parts of llama-common for chats, templates and grammars, with
# the headers they need (vendored nlohmann json among them, as <nlohmann/json.hpp>), as SYSTEM includes. It is built
# once per checkout, in build/llama, by third_party/llama; all presets, sanitized ones too, link the same libraries.
set(AUTOGLM_LLAMA_DIR "${CMAKE_SOURCE_DIR}/build/llama" CACHE PATH "Where `./dev setup` puts llama.cpp: src/ and out/")

set(llama_out "${AUTOGLM_LLAMA_DIR}/out")
if(NOT EXISTS "${llama_out}/BUILT" OR NOT EXISTS "${llama_out}/llama-targets.cmake")
  message(FATAL_ERROR "llama.cpp is not built in ${AUTOGLM_LLAMA_DIR}. Run ./dev setup (once; some minutes).")
endif()

file(STRINGS "${CMAKE_SOURCE_DIR}/third_party/llama/PIN" llama_commit REGEX "^commit=")
string(REPLACE "commit=" "" llama_commit "${llama_commit}")
include("${llama_out}/BUILT")
if(NOT AUTOGLM_LLAMA_BUILT_COMMIT STREQUAL llama_commit)
  message(FATAL_ERROR
    "llama.cpp in ${llama_out} was built from ${AUTOGLM_LLAMA_BUILT_COMMIT}, third_party/llama/PIN says ${llama_commit}. "
    "Run ./dev setup.")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
  "${CMAKE_SOURCE_DIR}/third_party/llama/PIN" "${llama_out}/BUILT")

# The exported targets refer to these packages; llama.cpp may have been built with OpenMP.
find_package(Threads REQUIRED)
if(AUTOGLM_LLAMA_BUILT_OPENMP)
  find_package(OpenMP REQUIRED)
endif()
include("${llama_out}/llama-targets.cmake")

add_library(llama_cpp INTERFACE)
target_link_libraries(llama_cpp INTERFACE llama-chat llama)
target_compile_definitions(llama_cpp INTERFACE AUTOGLM_LLAMA_RELEASE="${AUTOGLM_LLAMA_BUILT_RELEASE}")
# common/ has code that we never call (speculation, fitting of parameters); it was compiled in sections so that it can be dropped.
target_link_options(llama_cpp INTERFACE -Wl,--gc-sections)

# Headers that llama.cpp does not export, and its sources, for tests that cover everything it supports.
add_library(llama_source INTERFACE)
target_include_directories(llama_source SYSTEM INTERFACE "${AUTOGLM_LLAMA_DIR}/src/src")
target_compile_definitions(llama_source INTERFACE AUTOGLM_LLAMA_SOURCE="${AUTOGLM_LLAMA_DIR}/src")
