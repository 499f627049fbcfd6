# Writes ${folder}/installed/clouds.pc when clouds is installed, for only then is the prefix known (cmake --install --prefix).
get_filename_component(prefix "${CMAKE_INSTALL_PREFIX}" ABSOLUTE BASE_DIR "$ENV{PWD}")
string(REPLACE " " "\\ " prefix "${prefix}")
file(READ "${folder}/clouds.pc" text)
string(REPLACE "INSTALL_PREFIX" "${prefix}" text "${text}")
file(WRITE "${folder}/installed/clouds.pc" "${text}")
