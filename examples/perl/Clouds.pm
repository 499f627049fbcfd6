# clouds for Perl: a whole binding, by FFI::Platypus alone. docs/BINDINGS.md explains its parts.
package Clouds;
use strict;
use warnings;
use Encode qw(encode);
use FFI::Platypus::Memory qw(malloc free);
use Clouds::Library;

use constant SLICE => 0.1;    # seconds of a wait in which Perl handles no signal
use constant BATCH => 64;

sub new {
    my ($class, $url, %options) = @_;
    my $self = bless { events => [], calls => {}, methods => {}, listeners => {}, room => 65536 }, $class;
    check clouds_open(map({ _text($_) } $url, $options{type}), \$self->{context}, \$self->{node});
    $self->{batch} = malloc BATCH * $EVENT->{size};
    $self->{text} = malloc $self->{room};
    return $self;
}

sub DESTROY {
    my ($self) = @_;
    return if ${^GLOBAL_PHASE} eq 'DESTRUCT';
    clouds_context_destroy($self->{context});
    free $_ for @$self{qw(batch text)};
}

# Calls and waits: the results, or the first of them where one is wanted. Options are numbers of clouds_call_options:
# timeout, retries, deadline.
sub call {
    my ($self, @what) = @_;
    my $id = $self->_begin_call(@what, flags => CLOUDS_CALL_WAIT);
    my @results = @{ $JSON->decode($self->_wait($id)->{data}) };
    return wantarray ? @results : $results[0];
}

# Calls and goes on: poll or run gives the sub the error, or undef and the results. Its own result is for cancel.
sub start {
    my ($self, $method, $arguments, $then, %options) = @_;
    $self->{calls}{ my $id = $self->_begin_call($method, $arguments, %options) } = $then;
    return $id;
}

sub cancel { clouds_cancel($_[0]{context}, $_[1]) }    # what is over already is no error

# Serves a method by a sub. Where this fails the method stays offered, and is registered once that is possible.
sub register {
    my ($self, $method, $handler) = @_;
    $self->{methods}{$method} = $handler;
    my $how = pack_record(clouds_operation_options => flags => CLOUDS_OPERATION_WAIT);
    check clouds_node_register($self->{node}, _bytes($method), $how, \my $id);
    $self->_wait($id);
}

# The sub gets each event of a type: 'MESSAGE', 'BUS_DOWN' ...
sub on { $_[0]{listeners}{ $_[1] } = $_[2] }

# Serves and delivers until stop. Perl sleeps in a call of its own, which signals interrupt.
sub run {
    my ($self) = @_;
    vec(my $descriptor = '', check(clouds_fd($self->{context})), 1) = 1;
    while (defined(my $count = $self->poll)) {
        clouds_context_close($self->{context}, -1, undef, undef) if $self->{stopping};
        select my $ready = $descriptor, undef, undef, undef if $count == 0;
    }
}

# Ends run in order, from the handler of a signal too.
sub stop { $_[0]{stopping} = 1; clouds_wakeup($_[0]{context}) }

# Delivers what is there: the number of events, or undef after the last.
sub poll {
    my ($self) = @_;
    my $count = clouds_poll_into(@$self{qw(context batch)}, $EVENT->{size}, BATCH, @$self{qw(text room)},
        \my $needed, 0);
    return undef if is($count, 'Closed');
    push @{ $self->{events} }, $self->_take($count, $needed);
    while (my $next = shift @{ $self->{events} }) { $self->_deliver($next) }
    return $count;
}

sub _error { return error_of(@{ $_[0] }{qw(code error outcome)}) }
sub _bytes { my $bytes = encode('utf8', $_[0]); return ($bytes, length $bytes) }

sub _text { die "a NUL in a text\n" if ($_[0] // '') =~ /\0/; return defined $_[0] ? encode('utf8', $_[0]) : undef }

sub _begin_call {
    my ($self, $method, $arguments, %options) = @_;
    my $how = pack_record(clouds_call_options => parent => $self->{request} // 0, %options);
    check clouds_node_call($self->{node}, _bytes($method), _bytes($JSON->encode($arguments)), $how, \my $id);
    return $id;
}

# The completion of a call or operation. Whoever leaves the wait, as the handler of a signal may, gives it up.
sub _wait {
    my ($self, $id) = @_;
    my $event;
    my @into = ($self->{batch}, $EVENT->{size});
    eval {
        while (!$event) {
            my $count = clouds_wait_into($self->{context}, $id, SLICE, @into, @$self{qw(text room)}, \my $needed);
            ($event) = $self->_take($count, $needed);
        }
        1;
    } or do { my $why = $@; $self->cancel($id) for 1, 2; die $why };
    die _error($event) if $event->{code};
    return $event;
}

# The events that a poll or a wait has left in memory; none, and more room for their texts, where these did not fit.
sub _take {
    my ($self, $count, $needed) = @_;
    return read_events(check($count), $self->{batch}) unless is($count, 'TooBig');
    free $self->{text};
    $self->{text} = malloc($self->{room} = $needed);
    return;
}

sub _deliver {
    my ($self, $event) = @_;
    $self->_serve($event) if $event->{type} eq 'REQUEST';
    if (my $then = $event->{type} eq 'RESULT' && delete $self->{calls}{ $event->{id} }) {
        $then->($event->{code} ? _error($event) : (undef, @{ $JSON->decode($event->{data}) }));
    }
    $_->($event) for grep { defined } $self->{listeners}{ $event->{type} };
}

# Answers a request, whatever its handler does. What the handler calls has the time that the request has.
sub _serve {
    my ($self, $event) = @_;
    local $self->{request} = $event->{id};
    eval {
        my @results = $self->{methods}{ $event->{method} }->(@{ $JSON->decode($event->{data}) });
        my $result = clouds_reply($self->{context}, $event->{id}, _bytes($JSON->encode(\@results)));
        check($result) unless is($result, 'StaleId');    # its caller does not wait any more
        1;
    } or $self->_fail($event, $@);
}

sub _fail {
    my ($self, $event, $problem) = @_;
    my $is_ours = ref $problem && eval { $problem->isa('Clouds::Error') };
    warn "$event->{method}: $problem" unless $is_ours;
    my $error = $is_ours ? { %{ $problem->more }, code => $problem->code } : {};
    chomp($error->{message} = "$problem");
    clouds_fail($self->{context}, $event->{id}, _bytes($JSON->encode($error)), undef, 0);
}

1;
