# Many calls at a time, one of them given up, and texts that the first memory has no room for. Arguments: address, folder.
$LOAD_PATH.unshift(ARGV[1])
require "clouds"

client = Clouds.new(ARGV[0])
left = 300
answers = []
canceled = client.start("test.never", timeout: 100) { |error| puts "#{error.code} #{error.outcome}"; client.stop }
left.times do |n|
  client.start("test.echo", n, "x" * 1000, timeout: 100) do |error, number, text|
    raise error if error
    answers << number if text.size == 1000
    client.cancel(canceled) if answers.size == left
  end
end
client.run
puts answers.sort == (0...left).to_a

client = Clouds.new(ARGV[0])
puts client.call("test.echo", "y" * 500_000, timeout: 100).size
client.start("test.echo", "z" * 900_000, timeout: 100) { |_, text| puts text.size; client.stop }
client.run
begin
  client.call("test.echo")
rescue Clouds::Closed => e
  puts e.outcome
end
begin
  Clouds.new(ARGV[0]).call("test.echo", timeot: 1)
rescue ArgumentError => e
  puts e.message
end
