# A room is one folder under src/, one static library, one test binary. Its link list is the architecture:
#
#   add_room(config
#     SOURCES  tree.cc ...
#     TESTS    tree_test.cc ...        # become the binary config_test, found by ctest test by test
#     TESTING  testing/fake_clock.cc   # the room's kept fakes: library config_testing, for tests of other rooms
#     DEPENDS  base fmt::fmt           # rooms below, and packages that its headers show
#     PRIVATE  yaml-cpp::yaml-cpp      # packages that only its sources see
#     TEST_DEPENDS runtime_testing)
#
# A nested room is named with a slash: gateway/protocol is the target gateway_protocol.
include(GoogleTest)

function(add_room path)
  cmake_parse_arguments(ARG "" "" "SOURCES;TESTS;TESTING;DEPENDS;PRIVATE;TEST_DEPENDS" ${ARGN})
  string(REPLACE "/" "_" name "${path}")

  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC "${CMAKE_SOURCE_DIR}/src")
  target_link_libraries(${name} PUBLIC ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE} autoglm_flags)

  if(ARG_TESTING)
    add_library(${name}_testing STATIC ${ARG_TESTING})
    target_link_libraries(${name}_testing PUBLIC ${name} ${ARG_TEST_DEPENDS} GTest::gtest PRIVATE autoglm_flags)
  endif()

  if(ARG_TESTS)
    add_executable(${name}_test ${ARG_TESTS})
    target_link_libraries(${name}_test PRIVATE ${name} ${ARG_PRIVATE} ${ARG_TEST_DEPENDS} GTest::gmock_main autoglm_flags)
    if(ARG_TESTING)
      target_link_libraries(${name}_test PRIVATE ${name}_testing)
    endif()
    gtest_discover_tests(${name}_test TEST_PREFIX "${path}:" DISCOVERY_MODE PRE_TEST)
  endif()
endfunction()
