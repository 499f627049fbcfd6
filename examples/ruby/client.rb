# Calls a service: client.rb [method [arguments as a JSON array [address]]]. Ctrl-C gives the call up.
require_relative "clouds"

method = ARGV[0] || "test.hello"
arguments = JSON.parse(ARGV[1] || '["Glen", "hi"]')
client = Clouds.new(ARGV[2], type: "client")
begin
  puts JSON.generate(client.call(method, *arguments, timeout: 2, retries: 1))
rescue Clouds::Error => e
  abort "#{e.class.name}: #{e.message} (#{e.code}, #{e.outcome}, #{JSON.generate(e.more)})"
rescue Interrupt
  abort "given up"
end
