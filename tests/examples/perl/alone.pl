# A service and its client in one process, which takes turns in polling them. Arguments: address, folder.
use strict;
use warnings;
use lib $ARGV[1];
use Clouds;
use List::Util 'sum';

my ($server, $client) = map { Clouds->new($ARGV[0], type => $_) } 'server', 'client';
$server->register('test.add', sub { die "no number\n" if grep { ref } @_; return sum @_ });
my @answers;
$client->start('test.add', [1, 2], sub { push @answers, $_[0] // $_[1] }, timeout => 100);
$client->start('test.add', [1, {}], sub { push @answers, $_[0]->outcome }, timeout => 100);
until (@answers == 2) { $_->poll for $server, $client }
eval { $client->call('test.none', [], timeout => 0.01) };
push @answers, $@->more->{method} if $@->isa('Clouds::NoAvailableServer');
print "$_\n" for sort @answers;
