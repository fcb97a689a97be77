# The house rules of the build: flags that every target shares and the three kinds of target.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_package(Threads REQUIRED)
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# -ffp-contract=off: a compiler may not fuse what the source keeps apart, or the same model gives
# other bytes on another machine. -O2 is the release level: only the kernels gain from more, and they
# ask for it themselves.
add_compile_options(-Wall -Wextra -Wno-missing-field-initializers -ffp-contract=off)
string(REPLACE "-O3" "-O2" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")

# For files with AVX-512: GCC 12 takes the undefined lanes inside its own intrinsics for a fault of ours (its
# bug 105593).
set(THIMBLE_AVX512_WARNINGS -Wno-uninitialized)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND THIMBLE_AVX512_WARNINGS -Wno-maybe-uninitialized)
endif()

if(THIMBLE_SANITIZE)
  add_compile_options(-fsanitize=${THIMBLE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${THIMBLE_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-maybe-uninitialized)  # the instrumented standard library sets it off
  endif()
endif()
if(THIMBLE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# The host's /usr/include must not come into a cross build, for its libc is another. What we use from
# there without linking anything is reached through links to just those headers.
if(CMAKE_CROSSCOMPILING)
  set(host_headers ${CMAKE_BINARY_DIR}/host-headers)
  file(MAKE_DIRECTORY ${host_headers})
  foreach(header catch2 flatbuffers tl xxhash.h xxh3.h)
    if(EXISTS /usr/include/${header})
      file(CREATE_LINK /usr/include/${header} ${host_headers}/${header} SYMBOLIC)
    endif()
  endforeach()
  include_directories(SYSTEM ${host_headers})
endif()

# With THIMBLE_UNITY, the sources of a library are compiled in `groups` units, for most of a small file's time
# goes into the headers that it shares with its neighbours. A file's name decides its unit, so a new file
# changes no other unit than its own; names in unnamed namespaces differ within a unit. Sources with flags of
# their own (the kernels of an ISA) stand alone.
function(thimble_unity target groups)
  if(NOT THIMBLE_UNITY OR groups EQUAL 0)
    return()
  endif()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  get_target_property(sources ${target} SOURCES)
  foreach(source ${sources})
    cmake_path(GET source FILENAME name)
    string(MD5 digest ${name})
    string(SUBSTRING ${digest} 0 4 digits)
    math(EXPR unit "0x${digits} % ${groups}")
    set_source_files_properties(${source} PROPERTIES UNITY_GROUP unit${unit})
  endforeach()
endfunction()

# thimble_library(NAME [DEVICE] [UNITS n] [SOURCES ...] [DEPENDS ...]): a static library `thimble_NAME` of the
# folder's sources and those of its own folders, unless SOURCES lists others. DEVICE code ships to devices: it is
# built without exceptions. UNITS: see thimble_unity; 0 keeps every file alone.
function(thimble_library name)
  cmake_parse_arguments(ARG "DEVICE" "UNITS" "SOURCES;DEPENDS" ${ARGN})
  if(NOT DEFINED ARG_SOURCES)
    file(GLOB ARG_SOURCES CONFIGURE_DEPENDS *.cpp */*.cpp)
  endif()
  add_library(thimble_${name} STATIC ${ARG_SOURCES})
  if(NOT DEFINED ARG_UNITS)
    set(ARG_UNITS 1)
  endif()
  thimble_unity(thimble_${name} ${ARG_UNITS})
  target_include_directories(thimble_${name} PUBLIC ${PROJECT_SOURCE_DIR}/lib ${PROJECT_SOURCE_DIR})
  if(ARG_DEVICE)
    target_compile_options(thimble_${name} PRIVATE -fno-exceptions)
  endif()
  list(TRANSFORM ARG_DEPENDS REPLACE "^thimble:" "thimble_")
  target_link_libraries(thimble_${name} PUBLIC ${ARG_DEPENDS})
endfunction()

# thimble_test(NAME [DEPENDS ...]): the folder's *_test.cpp as a Catch2 executable `test_NAME`, registered with
# CTest. Tests find the repository through THIMBLE_SOURCE_DIR and optional data through THIMBLE_SHARED_DIR.
function(thimble_test name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *_test.cpp)
  add_executable(test_${name} ${sources})
  list(TRANSFORM ARG_DEPENDS REPLACE "^thimble:" "thimble_")
  target_link_libraries(test_${name} PRIVATE thimble_test_main ${ARG_DEPENDS})
  add_test(NAME ${name} COMMAND test_${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES SKIP_REGULAR_EXPRESSION "^SKIPPED ENTIRELY")
endfunction()
