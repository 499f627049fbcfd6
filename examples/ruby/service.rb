# A service. Its address: the first argument, else CLOUDS_URL, else "local:". Ctrl-C ends it in order.
require_relative "clouds"

server = Clouds.new(ARGV[0], type: "server")
%w[INT TERM].each { |signal| trap(signal) { server.stop } }

server.register("test.hello") { |name, message| "Hello #{name}, #{message}" }
server.register("test.echo") { |*values| Clouds::Values.new(values) }
server.register("test.refuse") do |day|
  raise Clouds::ServiceError.new("not on #{day}", code: "E_DAY", more: { day: day })
end
server.on("MESSAGE") { |event| puts "#{event[:peer]} says #{event[:data]}" }
$stdout.sync = true
puts "serving"
server.run
