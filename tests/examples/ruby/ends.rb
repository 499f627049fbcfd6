# A child that inherited a node, nodes that nobody holds any more, and one that is there at the end. Arguments: address, folder.
$LOAD_PATH.unshift(ARGV[1])
require "clouds"

node = Clouds.new(ARGV[0])
child = fork do
  node.call("test.echo")
rescue Clouds::AfterFork => e
  exit!(e.outcome == "NOT_DONE" ? 7 : 1)
end
Process.wait(child)
puts $?.exitstatus
descriptors = -> { Dir.children("/proc/self/fd").size }
before = descriptors.call
100.times do
  Clouds.new(ARGV[0])
  GC.start
end
puts descriptors.call - before < 20
puts node.call("test.echo", "still here", timeout: 100)
