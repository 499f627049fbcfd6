# Many calls at a time, one of them given up, and texts that the first memory has no room for. Arguments: address, folder.
use strict;
use warnings;
use lib $ARGV[1];
use Clouds;

my $client = Clouds->new($ARGV[0]);
my $left = 300;
my @answers;
my $canceled = $client->start('test.never', [], sub { print $_[0]->code, ' ', $_[0]->outcome, "\n"; $client->stop }, timeout => 100);
for my $n (0 .. $left - 1) {
    $client->start('test.echo', [$n, 'x' x 1000], sub {
        my ($error, $number, $text) = @_;
        die $error if $error;
        push @answers, $number if length $text == 1000;
        $client->cancel($canceled) if @answers == $left;
    }, timeout => 100);
}
$client->run;
print join(',', sort { $a <=> $b } @answers) eq join(',', 0 .. $left - 1) ? "true\n" : "false\n";

$client = Clouds->new($ARGV[0]);
print length scalar $client->call('test.echo', ['y' x 500_000], timeout => 100);
print "\n";
$client->start('test.echo', ['z' x 900_000], sub { print length $_[1], "\n"; $client->stop }, timeout => 100);
$client->run;
eval { $client->call('test.echo', []) };
print $@->outcome, "\n" if $@->isa('Clouds::Closed');
eval { Clouds->new($ARGV[0])->call('test.echo', [], timeot => 1) };
print $@;
