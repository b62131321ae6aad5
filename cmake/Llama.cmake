# llama.cpp as the INTERFACE target `llama_cpp`: llama, ggml and of llama-common what chats, templates and grammars need, with
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

# The exported targets name these; the release build of llama.cpp may have been configured with OpenMP.
find_package(Threads REQUIRED)
if(AUTOGLM_LLAMA_BUILT_OPENMP)
  find_package(OpenMP REQUIRED)
endif()
include("${llama_out}/llama-targets.cmake")

add_library(llama_cpp INTERFACE)
target_link_libraries(llama_cpp INTERFACE llama-chat llama)
target_compile_definitions(llama_cpp INTERFACE AUTOGLM_LLAMA_RELEASE="${AUTOGLM_LLAMA_BUILT_RELEASE}")
# common/ carries code that we never call (speculation, a fitting of parameters); it was compiled in sections for this.
target_link_options(llama_cpp INTERFACE -Wl,--gc-sections)

# Headers that it does not export, and its sources, for tests of all that it knows.
add_library(llama_source INTERFACE)
target_include_directories(llama_source SYSTEM INTERFACE "${AUTOGLM_LLAMA_DIR}/src/src")
target_compile_definitions(llama_source INTERFACE AUTOGLM_LLAMA_SOURCE="${AUTOGLM_LLAMA_DIR}/src")
