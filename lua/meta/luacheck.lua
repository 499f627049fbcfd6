-- A standard for luacheck: what a script of the host may use beside LuaJIT's own. In .luacheckrc:
--
--    stds.clouds = dofile("/usr/share/clouds/lua/meta/luacheck.lua")
--    std = "luajit+clouds"
return {
  -- The arguments of the script, as in plain LuaJIT; a script may fill it for another that it loads.
  globals = { "arg" },
}
