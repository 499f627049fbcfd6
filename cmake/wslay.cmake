# The frames of WebSocket. The library brings no pkg-config file; the target is clouds_wslay.
find_path(CLOUDS_WSLAY_INCLUDE wslay/wslay.h)
find_library(CLOUDS_WSLAY_LIBRARY wslay)
if(NOT CLOUDS_WSLAY_INCLUDE OR NOT CLOUDS_WSLAY_LIBRARY)
  message(FATAL_ERROR "wslay is missing: on Debian install libwslay-dev (tools/setup does)")
endif()
add_library(clouds_wslay INTERFACE)
target_include_directories(clouds_wslay SYSTEM INTERFACE ${CLOUDS_WSLAY_INCLUDE})
target_link_libraries(clouds_wslay INTERFACE ${CLOUDS_WSLAY_LIBRARY})
