# Debian packages by CPack: libclouds0, libclouds-dev, clouds, lua-clouds, python3-clouds, clouds-doc. tools/package makes them, in
# a build of its own that is configured for the prefix /usr.
set(CLOUDS_MAINTAINER "The clouds authors <authors@clouds.invalid>" CACHE STRING "Who answers for the packages, as Debian writes it")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME clouds)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT ${CLOUDS_MAINTAINER})
set(CPACK_STRIP_FILES ON)
set(CPACK_SET_DESTDIR ON) # so that what is installed sees the prefix it will have
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_THREADS 0)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR}/capi)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_SOURCE clouds)
set(CPACK_POST_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/debian/finish.cmake)
set(CPACK_DEBIAN_COMPRESSION_TYPE gzip) # for the moment: that script compresses again
set(CLOUDS_PACKAGES_COMPRESSION -Zxz CACHE STRING "How dpkg-deb compresses the packages")
set(CPACK_CLOUDS_COMPRESSION ${CLOUDS_PACKAGES_COMPRESSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # each package has its own

# What each package has to have by Debian's policy. It is of no use outside of a package, so it is not installed otherwise.
option(CLOUDS_PACKAGES "Install what Debian packages need besides" OFF)
set(debian ${CMAKE_CURRENT_BINARY_DIR}/debian)
if(CLOUDS_PACKAGES)
  file(READ LICENSE CLOUDS_LICENSE)
  string(REGEX REPLACE "^.*authors\n\n" "" CLOUDS_LICENSE "${CLOUDS_LICENSE}")
  string(STRIP "${CLOUDS_LICENSE}" CLOUDS_LICENSE)
  string(REPLACE "\n\n" "\n.\n" CLOUDS_LICENSE "${CLOUDS_LICENSE}")
  string(REPLACE "\n" "\n " CLOUDS_LICENSE " ${CLOUDS_LICENSE}")
  configure_file(cmake/debian/copyright.in ${debian}/copyright @ONLY)
  string(TIMESTAMP CLOUDS_DATE "%a, %d %b %Y %H:%M:%S +0000" UTC) # of SOURCE_DATE_EPOCH, if that is there
  configure_file(cmake/debian/changelog.in ${debian}/changelog @ONLY)
  execute_process(COMMAND gzip -9nc ${debian}/changelog OUTPUT_FILE ${debian}/changelog.gz COMMAND_ERROR_IS_FATAL ANY)
  # For dpkg-shlibdeps. CPack's own way looks at each file of each package.
  file(WRITE ${debian}/shlibs "libclouds 0 libclouds0 (>= ${PROJECT_VERSION})\n")
endif()

# clouds_debian_package(COMPONENT c NAME n SECTION s SUMMARY text DESCRIPTION text [ARCH all] [DEPENDS components] [NEEDS packages]
#   [RECOMMENDS packages] [SUGGESTS packages] [CONTROL files])
function(clouds_debian_package)
  cmake_parse_arguments(P "" "COMPONENT;NAME;SECTION;SUMMARY;DESCRIPTION;ARCH;NEEDS;RECOMMENDS;SUGGESTS" "DEPENDS;CONTROL" ${ARGN})
  string(TOUPPER ${P_COMPONENT} upper)
  set(deb CPACK_DEBIAN_${upper}_PACKAGE)
  set(${deb}_NAME ${P_NAME})
  set(${deb}_SECTION ${P_SECTION})
  set(${deb}_ARCHITECTURE ${P_ARCH})
  set(${deb}_DEPENDS ${P_NEEDS})
  set(${deb}_RECOMMENDS ${P_RECOMMENDS})
  set(${deb}_SUGGESTS ${P_SUGGESTS})
  set(${deb}_CONTROL_EXTRA ${P_CONTROL})
  set(CPACK_COMPONENT_${upper}_DEPENDS ${P_DEPENDS})
  set(CPACK_DEBIAN_${upper}_DESCRIPTION "${P_SUMMARY}\n${P_DESCRIPTION}")
  foreach(name ${deb}_NAME ${deb}_SECTION ${deb}_ARCHITECTURE ${deb}_DEPENDS ${deb}_RECOMMENDS ${deb}_SUGGESTS
          ${deb}_CONTROL_EXTRA CPACK_COMPONENT_${upper}_DEPENDS CPACK_DEBIAN_${upper}_DESCRIPTION)
    if(DEFINED ${name})
      set(${name} "${${name}}" PARENT_SCOPE)
    endif()
  endforeach()
  if(P_ARCH STREQUAL all)
    set(${deb}_SHLIBDEPS OFF PARENT_SCOPE)
  endif()
  if(CLOUDS_PACKAGES)
    install(FILES ${debian}/copyright ${debian}/changelog.gz DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/doc/${P_NAME}
            COMPONENT ${P_COMPONENT})
    if(EXISTS ${PROJECT_SOURCE_DIR}/cmake/debian/${P_NAME}.lintian)
      install(FILES cmake/debian/${P_NAME}.lintian DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/lintian/overrides
              RENAME ${P_NAME} COMPONENT ${P_COMPONENT})
    endif()
  endif()
  set(CPACK_COMPONENTS_ALL ${CPACK_COMPONENTS_ALL} ${P_COMPONENT} PARENT_SCOPE)
endfunction()

set(what "clouds lets programs offer methods and call them by name, over the
processes of one machine or, with a Redis, over many. Calls end exactly
once and say how. Servers come and go.")

clouds_debian_package(COMPONENT library NAME libclouds0 SECTION libs RECOMMENDS "libcurl4, libssl3"
  CONTROL ${debian}/shlibs ${PROJECT_SOURCE_DIR}/cmake/debian/triggers
  SUMMARY "services and calls by name (shared library)"
  DESCRIPTION "${what}\n.\nThis package has the library that all languages use.")
clouds_debian_package(COMPONENT development NAME libclouds-dev SECTION libdevel DEPENDS library SUGGESTS clouds-doc
  SUMMARY "services and calls by name (development files)"
  DESCRIPTION "${what}\n.\nThis package has the header, and what pkg-config and CMake need.")
clouds_debian_package(COMPONENT host NAME clouds SECTION net DEPENDS library
  RECOMMENDS "libedit2, lua-luv, clouds-doc" SUGGESTS "lua-clouds, redis-server"
  SUMMARY "services and calls by name (program)"
  DESCRIPTION "${what}\n.\nThis package has the program that runs services written in Lua, calls\nmethods, shows who serves what, and measures.")
clouds_debian_package(COMPONENT lua NAME lua-clouds SECTION interpreters DEPENDS library NEEDS luajit SUGGESTS "clouds, clouds-doc"
  SUMMARY "services and calls by name (modules for LuaJIT)"
  DESCRIPTION "${what}\n.\nThis package has the modules for LuaJIT itself. The program clouds\nbrings its own.")
clouds_debian_package(COMPONENT documentation NAME clouds-doc SECTION doc ARCH all
  SUMMARY "services and calls by name (documentation)"
  DESCRIPTION "${what}\n.\nThis package has the documentation and the examples.")
clouds_debian_package(COMPONENT python NAME python3-clouds SECTION python ARCH all DEPENDS library
  NEEDS "python3 (>= 3.9)" SUGGESTS clouds-doc
  CONTROL ${PROJECT_SOURCE_DIR}/cmake/debian/postinst ${PROJECT_SOURCE_DIR}/cmake/debian/prerm
  SUMMARY "services and calls by name (Python 3)"
  DESCRIPTION "${what}\n.\nThis package has the package for Python 3, for threads and for asyncio.")

include(CPack)
