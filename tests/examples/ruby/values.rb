# Sends each line of its input, the arguments of a call, there and back, and prints what came. Arguments: address, folder.
$LOAD_PATH.unshift(ARGV[1])
require "clouds"

client = Clouds.new(ARGV[0])
$stdin.each_line do |line|
  results = client.call("test.echo", *JSON.parse(line, max_nesting: 0), timeout: 100)
  results = results.nil? && line.strip == "[]" ? [] : [results] unless results.is_a?(Clouds::Values)
  puts JSON.generate(results, max_nesting: 0)
rescue StandardError => e
  puts JSON.generate("failed: #{e.message}"[0, 200])
end
