--- What other modules of clouds use of clouds.socket, which fills it: scripts do not see it.
--
-- inner.adopt(descriptor), inner.is_socket(value), inner.is_fresh(socket), inner.pass(socket, fn),
-- inner.push(socket, text), inner.receive(fn), inner.check_end(): see there. inner.is_released(): whether nothing is
-- under way although sockets are open; set by who knows.
return {
  is_socket = function()
    return false
  end,
  is_released = function()
    return false
  end,
}
