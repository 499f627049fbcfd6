# A service and its client in one process, which takes turns in polling them. Arguments: address, folder.
$LOAD_PATH.unshift(ARGV[1])
require "clouds"

server, client = Clouds.new(ARGV[0], type: "server"), Clouds.new(ARGV[0], type: "client")
server.register("test.add") { |*numbers| numbers.sum }
answers = []
client.start("test.add", 1, 2, timeout: 100) { |error, sum| answers << (error || sum) }
client.start("test.add", 1, {}, timeout: 100) { |error, _| answers << error.outcome }
[server, client].each(&:poll) until answers.size == 2
begin
  client.call("test.none", timeout: 0.01)
rescue Clouds::NoAvailableServer => e
  answers << e.more["method"]
end
puts answers.map(&:to_s).sort
