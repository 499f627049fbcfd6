# Fuzz targets. In an ordinary build each is a test that replays its corpus; under the address sanitizer it mutates it for a
# moment, too; `fuzz_long` runs a million mutations of each. With CLOUDS_LIBFUZZER=ON (and clang) they are libFuzzer programs,
# to be run by hand with a folder for what they find: fuzz_json /tmp/found tests/fuzz/corpus/json. Build just these targets
# then, for nothing else links.
option(CLOUDS_LIBFUZZER "Build the fuzz targets with clang's libFuzzer" OFF)

if(CLOUDS_LIBFUZZER)
  target_compile_options(cl_objects PRIVATE -fsanitize=fuzzer-no-link)
endif()

add_custom_target(fuzz_long)

# clouds_add_fuzz(NAME name SOURCES a.c ... [CORPUS folder] [LABELS ...]): the corpus is corpus/<name> unless told.
function(clouds_add_fuzz)
  cmake_parse_arguments(F "" "NAME;CORPUS" "SOURCES;LABELS" ${ARGN})
  set(target fuzz_${F_NAME})
  if(NOT F_CORPUS)
    set(F_CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${F_NAME})
  endif()
  add_executable(${target} ${F_SOURCES})
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests ${CMAKE_SOURCE_DIR}/tests/fuzz)
  target_link_libraries(${target} PRIVATE cl_internal)
  if(CLOUDS_LIBFUZZER)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    return()
  endif()
  target_sources(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz/driver.c)
  add_test(NAME ${target} COMMAND ${target} ${F_CORPUS})
  set_tests_properties(${target} PROPERTIES LABELS "fuzz;${F_LABELS}" TIMEOUT 300)
  if(NOT CLOUDS_SANITIZE MATCHES address)
    set_tests_properties(${target} PROPERTIES ENVIRONMENT CLOUDS_FUZZ_SECONDS=0)
  endif()
  add_custom_target(${target}_long COMMAND ${CMAKE_COMMAND} -E env CLOUDS_FUZZ_RUNS=1000000 $<TARGET_FILE:${target}> ${F_CORPUS}
                    DEPENDS ${target} USES_TERMINAL)
  add_dependencies(fuzz_long ${target}_long)
endfunction()
