# What a binding knows of the library: its functions, its records and its errors. It loads libclouds.so.0, or what
# CLOUDS_LIBRARY names.
require "fiddle/import"
require "json"

class Clouds
  # The functions, declared as in clouds.h.
  module C
    extend Fiddle::Importer
    dlload ENV["CLOUDS_LIBRARY"] || "libclouds.so.0"
    CLOUDS_VERSION_NUMBER = 2000
    CLOUDS_CALL_WAIT = 1
    CLOUDS_OPERATION_WAIT = 1
    extern "uint32_t clouds_version_number(void)"
    raise LoadError, "clouds: a later libclouds is needed" if clouds_version_number < CLOUDS_VERSION_NUMBER
    <<~HEADER.split(/;\s*/).each { |declaration| extern declaration }
      int clouds_layout(uint32_t index, clouds_layout_info *out);
      const char *clouds_err_name(int code);
      int clouds_err_outcome(int code);
      int clouds_error_at(uint32_t index);
      const char *clouds_outcome_name(int outcome);
      const char *clouds_last_error_json(void);
      const char *clouds_event_name(uint32_t type);
      int clouds_open(const char *url, const char *type, clouds_context **context, clouds_node **node);
      int clouds_context_close(clouds_context *context, double drain, const clouds_operation_options *options,
                               uint64_t *operation);
      void clouds_context_destroy(clouds_context *context);
      int clouds_fd(clouds_context *context);
      int clouds_poll_into(clouds_context *context, clouds_event *events, size_t event_size, size_t capacity,
                           char *text, size_t text_size, size_t *text_needed, double timeout);
      int clouds_wait_into(clouds_context *context, uint64_t call, double timeout, clouds_event *event,
                           size_t event_size, char *text, size_t text_size, size_t *text_needed);
      int clouds_wakeup(clouds_context *context);
      int clouds_node_register(clouds_node *node, const char *method, size_t method_len,
                               const clouds_operation_options *options, uint64_t *operation);
      int clouds_node_call(clouds_node *node, const char *method, size_t method_len, const char *args,
                           size_t args_len, const clouds_call_options *options, uint64_t *call);
      int clouds_cancel(clouds_context *context, uint64_t call);
      int clouds_reply(clouds_context *context, uint64_t request, const char *result, size_t result_len);
      int clouds_fail(clouds_context *context, uint64_t request, const char *error, size_t error_len,
                      const char *result, size_t result_len);
    HEADER
  end

  # A public record, at the offsets that this library has its members at.
  class Record
    CODES = { int32: "l", int64: "q", double: "d" }.freeze # of Array#pack; the rest by length
    attr_reader :size, :texts

    def initialize(rows)
      @size, @names = rows[0][:record_size], rows.map { |row| row[:member] }
      @texts = rows.select { |row| row[:kind] == :text }.map { |row| row[:member] }
      @format = rows.map { |row| "@#{row[:offset]}#{CODES[row[:kind]] || { 4 => "L", 8 => "Q" }[row[:length]]}" }.join
    end

    def pack(members)
      unknown = members.keys - @names
      raise ArgumentError, "no option: #{unknown.join(", ")}" unless unknown.empty?
      { size: size, **members }.values_at(*@names).map(&:to_i).pack("#{@format}@#{size}")
    end

    def unpack(bytes) = @names.zip(bytes.unpack(@format)).to_h
  end

  # The record that describes the others is known beforehand: four uint32_t and three pointers.
  rows = (0..).lazy.map do |index|
    info = [16 + 3 * Fiddle::SIZEOF_VOIDP].pack("L x#{12 + 3 * Fiddle::SIZEOF_VOIDP}")
    next unless C.clouds_layout(index, info) == 0
    numbers = %i[record_size offset length].zip(info.unpack("x4 L3"))
    texts = info.unpack("x16 J3").map { |text| Fiddle::Pointer.new(text).to_s.to_sym }
    [*numbers, *%i[record member kind].zip(texts)].to_h
  end
  RECORDS = rows.take_while(&:itself).group_by { |row| row[:record] }.transform_values { |group| Record.new(group) }
  EVENT, CALL, OPERATION = RECORDS.values_at(:clouds_event, :clouds_call_options, :clouds_operation_options)

  # What a call or a function ends with. A handler raises ServiceError.new("no", code: "E_NO", more: { ... }).
  class Error < StandardError
    attr_reader :code, :outcome, :more

    def initialize(message, code: "CLOUDS_SERVICE_ERROR", outcome: "APP_ERROR", more: {})
      super(message)
      @code, @outcome, @more = code, outcome, more
    end
  end

  # A class for each error of the library, NoAvailableServer for CLOUDS_NO_AVAILABLE_SERVER, by its number.
  ERRORS = (0..).lazy.map { |index| C.clouds_error_at(index) }.take_while { |number| number != 0 }.to_h do |number|
    [number, const_set(C.clouds_err_name(number).to_s.split("_").drop(1).map(&:capitalize).join, Class.new(Error))]
  end
  ERRORS.default = Error

  def self.error(number, json, outcome = C.clouds_err_outcome(number))
    more = JSON.parse(json.force_encoding("UTF-8").scrub).compact
    ERRORS[number].new(more.delete("message"), code: more.delete("code") || C.clouds_err_name(number).to_s,
                       outcome: C.clouds_outcome_name(outcome).to_s, more: more)
  end
end
