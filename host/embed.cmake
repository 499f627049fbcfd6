# Makes one C file of Lua sources: cmake -DOUTPUT=file.c -DMODULES=name=path,name=path... -P embed.cmake
string(REPLACE "," ";" modules "${MODULES}")
set(arrays "")
set(rows "")
set(number 0)
foreach(module ${modules})
  string(REGEX MATCH "^([^=]+)=(.+)$" matched "${module}")
  set(name "${CMAKE_MATCH_1}")
  file(READ "${CMAKE_MATCH_2}" hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char module_${number}[] = {${bytes}0};\n")
  string(APPEND rows "    {\"${name}\", module_${number}, sizeof module_${number} - 1},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE "${OUTPUT}"
     "/* Made by embed.cmake. */\n#include \"internal.h\"\n\n${arrays}\n"
     "const host_embedded host_embedded_modules[] = {\n${rows}};\nconst unsigned host_embedded_count = ${number};\n")
