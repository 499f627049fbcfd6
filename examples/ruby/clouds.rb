# clouds for Ruby: a whole binding, by Fiddle alone. docs/BINDINGS.md explains its parts.
require_relative "clouds/library"

class Clouds
  Values = Class.new(Array) # results that are not one: a handler returns Values[1, 2]
  SLICE = 0.1 # seconds of a wait in which Ruby handles no signal
  BATCH = 64

  def initialize(url = nil, type: "base")
    context, node = [0].pack("J"), [0].pack("J")
    check C.clouds_open(url && text(url), text(type), context, node)
    @context = Fiddle::Pointer.new(context.unpack1("J"), 0, C["clouds_context_destroy"].ptr) # once it is garbage
    @node = node.unpack1("J")
    @batch, @text, @needed = memory(BATCH * EVENT.size), memory(65536), [0].pack("J")
    @events, @calls, @methods, @listeners = [], {}, {}, {}
  end

  # Calls and waits. Options are numbers of clouds_call_options: timeout:, retries:, deadline:.
  def call(method, *arguments, **options)
    values = values_of(wait(begin_call(method, arguments, flags: C::CLOUDS_CALL_WAIT, **options)))
    values.size == 1 ? values[0] : (Values.new(values) unless values.empty?)
  end

  # Calls and goes on: poll or run gives the block the error, or nil and the results. Its own result is for cancel.
  def start(method, *arguments, **options, &block)
    begin_call(method, arguments, **options).tap { |id| @calls[id] = block }
  end

  def cancel(id) = C.clouds_cancel(@context, id) # what is over already is no error

  # Serves a method by a block. Where this fails the method stays offered, and is registered once that is possible.
  def register(method, &block)
    @methods[method] = block
    how = OPERATION.pack(flags: C::CLOUDS_OPERATION_WAIT)
    wait(id_of { |id| C.clouds_node_register(@node, method, method.bytesize, how, id) })
  end

  # The block gets each event of a type: "MESSAGE", "BUS_DOWN" ...
  def on(type, &block) = @listeners[type] = block

  # Serves and delivers until stop. Ruby sleeps in a call of its own: signals interrupt it, and other threads run.
  def run
    descriptor = IO.for_fd(check(C.clouds_fd(@context)), autoclose: false)
    while (count = poll)
      C.clouds_context_close(@context, -1, nil, nil) if @stopping
      IO.select([descriptor]) if count == 0
    end
  end

  # Ends run in order, from the handler of a signal too.
  def stop
    @stopping = true
    C.clouds_wakeup(@context)
  end

  # Delivers what is there: the number of events, or nil after the last.
  def poll
    count = C.clouds_poll_into(@context, @batch, EVENT.size, BATCH, @text, @text.size, @needed, 0)
    return if ERRORS[count] == Closed
    @events.concat(take(count))
    deliver(@events.shift) until @events.empty?
    count
  end

  private

  def text(value) = value.include?("\0") ? raise(ArgumentError, "a NUL in #{value.inspect}") : "#{value}\0"
  def memory(size) = Fiddle::Pointer.malloc(size, Fiddle::RUBY_FREE)
  def check(result) = result < 0 ? raise(Clouds.error(result, C.clouds_last_error_json.to_s)) : result
  def error_of(event) = Clouds.error(event[:code], event[:error], event[:outcome])
  def values_of(event) = JSON.parse(event[:data], max_nesting: 0)
  def to_json(value) = JSON.generate(value, max_nesting: 0)

  def id_of
    id = [0].pack("Q")
    check yield(id)
    id.unpack1("Q")
  end

  def begin_call(method, arguments, **options)
    how, json = CALL.pack(parent: @request, **options), to_json(arguments)
    id_of { |id| C.clouds_node_call(@node, method, method.bytesize, json, json.bytesize, how, id) }
  end

  # The completion of a call or operation. Whoever leaves the wait, as by Ctrl-C, gives it up.
  def wait(id)
    event = take(C.clouds_wait_into(@context, id, SLICE, @batch, EVENT.size, @text, @text.size, @needed))[0] until event
    event[:code] == 0 ? event : raise(error_of(event))
  ensure
    2.times { cancel(id) } unless event # the second frees what is kept for a wait
  end

  # The events that a poll or a wait has left in memory; none, and more room for their texts, where these did not fit.
  def take(count)
    @text = memory(@needed.unpack1("J")) if ERRORS[count] == TooBig
    ERRORS[count] == TooBig ? [] : Array.new(check(count)) { |i| read(@batch[i * EVENT.size, EVENT.size]) }
  end

  def read(bytes)
    event = EVENT.unpack(bytes)
    EVENT.texts.each do |name|
      length = event[:"#{name}_len"]
      event[name] = length == 0 ? "" : @text[event[name] - @text.to_i, length].force_encoding("UTF-8").scrub
    end
    event.merge(type: C.clouds_event_name(event[:type]).to_s)
  end

  def deliver(event)
    serve(event) if event[:type] == "REQUEST"
    block = @calls.delete(event[:id]) if event[:type] == "RESULT"
    block&.call(*(event[:code] == 0 ? [nil, *values_of(event)] : [error_of(event)]))
    @listeners[event[:type]]&.call(event)
  end

  # Answers a request, whatever its handler does. What the handler calls has the time that the request has.
  def serve(event)
    @request = event[:id]
    value = @methods.fetch(event[:method]).call(*values_of(event))
    json = to_json(value.is_a?(Values) ? value : [value])
    result = C.clouds_reply(@context, event[:id], json, json.bytesize)
    check(result) unless ERRORS[result] == StaleId # its caller does not wait any more
  rescue Exception => problem
    fail_request(event, problem)
    raise unless problem.is_a?(StandardError)
  ensure
    @request = nil
  end

  def fail_request(event, problem)
    warn "#{event[:method]}: #{problem.full_message}" unless problem.is_a?(Error)
    code, more = problem.is_a?(Error) ? [problem.code, problem.more] : [problem.class.name, {}]
    json = to_json({ **more, message: problem.message.scrub, code: code })
    C.clouds_fail(@context, event[:id], json, json.bytesize, nil, 0)
  end
end
