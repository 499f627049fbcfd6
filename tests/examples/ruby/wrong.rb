# A service whose handlers do what they should not. Arguments: address, folder.
$LOAD_PATH.unshift(ARGV[1])
require "clouds"

server = Clouds.new(ARGV[0], type: "server")
trap("TERM") { server.stop }
server.register("test.raise") { raise "oops" }
server.register("test.infinite") { Float::INFINITY }
server.register("test.code") { raise Clouds::ServiceError.new("refused", code: "E_OWN", more: { depth: 3 }) }
server.register("test.asks") { server.call("test.never", timeout: 1000) }
$stdout.sync = true
puts "serving"
server.run
