# What is installed beside the library, the program and the Lua modules (their folders say that): documentation, examples, and
# the Python package. `cmake --build build/... --target uninstall` takes back what the last `cmake --install` brought.

install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT documentation)
install(DIRECTORY docs examples DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT documentation
        PATTERN CMakeLists.txt EXCLUDE PATTERN __pycache__ EXCLUDE PATTERN node_modules EXCLUDE)
find_package(Python3 REQUIRED COMPONENTS Interpreter)
install(CODE "
  set(pages \"${CMAKE_INSTALL_DOCDIR}\")
  cmake_path(ABSOLUTE_PATH pages BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\")
  execute_process(COMMAND \"${Python3_EXECUTABLE}\" \"${PROJECT_SOURCE_DIR}/cmake/packed_links.py\" \"\$ENV{DESTDIR}\${pages}\"
                  COMMAND_ERROR_IS_FATAL ANY)" COMPONENT documentation)

# Debian's Python looks into dist-packages: of all versions below /usr, of its own version below /usr/local.
set(python_folder lib/python3/dist-packages)
if(NOT CLOUDS_SYSTEM_PREFIX)
  set(python_folder lib/python${Python3_VERSION_MAJOR}.${Python3_VERSION_MINOR}/dist-packages)
endif()
set(CLOUDS_PYTHON_DIR ${python_folder} CACHE STRING "Where the Python package goes, below the prefix or absolute")

install(DIRECTORY bindings/python/clouds DESTINATION ${CLOUDS_PYTHON_DIR} COMPONENT python
        FILES_MATCHING PATTERN "*.py" PATTERN "py.typed" PATTERN __pycache__ EXCLUDE PATTERN _lib EXCLUDE)
set(python_info ${CMAKE_CURRENT_BINARY_DIR}/clouds-${PROJECT_VERSION}.dist-info)
configure_file(cmake/python/METADATA.in ${python_info}/METADATA @ONLY)
file(WRITE ${python_info}/INSTALLER "cmake\n")
install(DIRECTORY ${python_info} DESTINATION ${CLOUDS_PYTHON_DIR} COMPONENT python)

# The addon for Node goes into the package that cmake/node/pack.py makes, and nowhere else.
if(TARGET clouds_node)
  install(TARGETS clouds_node LIBRARY DESTINATION . COMPONENT node EXCLUDE_FROM_ALL)
endif()

if(PROJECT_IS_TOP_LEVEL)
  add_custom_target(uninstall COMMAND ${CMAKE_COMMAND} -DMANIFEST=${CMAKE_BINARY_DIR}/install_manifest.txt
                    -P ${PROJECT_SOURCE_DIR}/cmake/uninstall.cmake VERBATIM USES_TERMINAL)
endif()
