# A child that inherited a node, nodes that nobody holds any more, and one that is there at the end. Arguments: address, folder.
use strict;
use warnings;
use lib $ARGV[1];
use Clouds;
use POSIX ();

$| = 1;
my $node = Clouds->new($ARGV[0]);
my $child = fork;
if ($child == 0) {
    eval { $node->call('test.echo', []) };
    POSIX::_exit($@->isa('Clouds::AfterFork') && $@->outcome eq 'NOT_DONE' ? 7 : 1);
}
waitpid $child, 0;
print $? >> 8, "\n";
sub descriptors { my @all = glob '/proc/self/fd/*'; return scalar @all }
my $before = descriptors();
Clouds->new($ARGV[0]) for 1 .. 100;
print descriptors() - $before < 20 ? "true\n" : "false\n";
print scalar $node->call('test.echo', ['still here'], timeout => 100), "\n";
