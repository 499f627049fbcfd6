# What a binding knows of the library: its functions, its records and its errors. It loads libclouds.so.0, or what
# CLOUDS_LIBRARY names.
package Clouds::Library;
use strict;
use warnings;
use Encode 'decode';
use Exporter 'import';
use FFI::Platypus 2.00;
use FFI::Platypus::Buffer qw(buffer_to_scalar);
use JSON::PP ();

our @EXPORT = qw($EVENT $JSON check error_of is pack_record read_events CLOUDS_CALL_WAIT CLOUDS_OPERATION_WAIT);
our $JSON = JSON::PP->new->allow_nonref->canonical;

# The functions, declared as in clouds.h.
use constant CLOUDS_VERSION_NUMBER => 2000;
use constant CLOUDS_CALL_WAIT => 1;
use constant CLOUDS_OPERATION_WAIT => 1;

my $ffi = FFI::Platypus->new(api => 2, lib => $ENV{CLOUDS_LIBRARY} // 'libclouds.so.0');
my $version = $ffi->function(clouds_version_number => [] => 'uint32')
    or die "clouds: libclouds.so.0 cannot be loaded; CLOUDS_LIBRARY may name its path\n";
die "clouds: a later libclouds is needed\n" if $version->call < CLOUDS_VERSION_NUMBER;

sub type_of {    # for Platypus; what is packed here, and handed over as a pointer, is its "string" too
    my ($const, $name, $stars) = $_[0] =~ /^(const )?(\w+) ?(\**)/;
    return $name =~ s/(\d)_t$/$1/r if !$stars;
    return 'opaque*' if $stars eq '**';
    return ($name =~ s/(\d)_t$/$1/r) . '*' if $name =~ /_t$/;
    return $const || $name =~ /_info$/ ? 'string' : 'opaque';
}

for (split /;\s*/, <<'HEADER') {
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
    my ($result, $name, $arguments) = /^(.*?)(clouds_\w+)\((.*)\)$/s;
    my @types = $arguments eq 'void' ? () : map { type_of($_) } split /,\s*/, $arguments;
    $ffi->attach($name => \@types => type_of($result));
    push @EXPORT, $name;
}

# The public records, with the offsets that this library has. The one that describes the others is known beforehand:
# four uint32_t and three pointers.
my $pointer = $ffi->sizeof('opaque') == 8 ? 'Q' : 'L';
my $info = pack "L4 ${pointer}3", 16 + 3 * $ffi->sizeof('opaque'), (0) x 6;
my %code = (int32 => 'l', int64 => 'q', double => 'd');    # of pack; the rest by length
my %records;
for (my $index = 0; clouds_layout($index, $info) == 0; $index++) {
    my (undef, $size, $offset, $length, @texts) = unpack "L4 ${pointer}3", $info;
    my ($name, $member, $kind) = map { $ffi->cast(opaque => 'string', $_) } @texts;
    my $record = $records{$name} //= { size => $size, format => '' };
    push @{ $record->{members} }, $member;
    push @{ $record->{texts} }, $member if $kind eq 'text';
    $record->{format} .= "\@$offset" . ($code{$kind} // ($length == 4 ? 'L' : 'Q'));
}
our $EVENT = $records{clouds_event};

sub pack_record {
    my ($record, %values) = ($records{ $_[0] }, @_[1 .. $#_]);
    my %all = ((map { $_ => 0 } @{ $record->{members} }), size => $record->{size});
    for my $name (keys %values) {
        die "no option: $name\n" unless exists $all{$name};
        $all{$name} = $values{$name};
    }
    return pack "$record->{format}\@$record->{size}", @all{ @{ $record->{members} } };
}

# The events that a poll or a wait has left in memory, texts included.
sub read_events {
    my ($count, $memory) = @_;
    return map {
        my %event;
        my $record = buffer_to_scalar($memory + $_ * $EVENT->{size}, $EVENT->{size});
        @event{ @{ $EVENT->{members} } } = unpack $EVENT->{format}, $record;
        for my $text (@{ $EVENT->{texts} }) {
            my $length = $event{"${text}_len"};
            $event{$text} = $length ? decode('utf8', buffer_to_scalar($event{$text}, $length)) : '';
        }
        $event{type} = clouds_event_name($event{type});
        \%event;
    } 0 .. $count - 1;
}

# A class for each error of the library, Clouds::NoAvailableServer for CLOUDS_NO_AVAILABLE_SERVER, by its number.
my %ERRORS;
for (my $index = 0; my $number = clouds_error_at($index); $index++) {
    my (undef, @words) = split /_/, clouds_err_name($number);
    $ERRORS{$number} = join '', 'Clouds::', map { ucfirst lc } @words;
    no strict 'refs';
    @{"$ERRORS{$number}::ISA"} = 'Clouds::Error';
}

sub is { $_[0] < 0 && ($ERRORS{ $_[0] } // '') eq "Clouds::$_[1]" }

sub error_of {
    my ($number, $text, $outcome) = @_;
    my $more = $JSON->decode($text);
    my ($message, $code) = delete @$more{qw(message code)};
    $outcome = clouds_outcome_name($outcome // clouds_err_outcome($number));
    return ($ERRORS{$number} // 'Clouds::Error')
        ->new($message, code => $code // clouds_err_name($number), outcome => $outcome, more => $more);
}

sub check {
    my ($result) = @_;
    die error_of($result, decode('utf8', clouds_last_error_json())) if $result < 0;
    return $result;
}

# What a call or a function ends with. A handler may die of Clouds::ServiceError->new('no', code => 'E_NO').
package Clouds::Error;
use overload '""' => sub { $_[0]{message} }, fallback => 1;

sub new {
    my ($class, $message, %members) = @_;
    my %default = (code => 'CLOUDS_SERVICE_ERROR', outcome => 'APP_ERROR', more => {});
    return bless { %default, %members, message => $message }, $class;
}
sub message { $_[0]{message} }
sub code    { $_[0]{code} }
sub outcome { $_[0]{outcome} }
sub more    { $_[0]{more} }

1;
