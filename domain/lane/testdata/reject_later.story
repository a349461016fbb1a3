# who is turned away changes nothing for the one that waits: neither its start nor its place
lane
----
ok

ask runs=a dedupe=reject key=k
----
0 active, waiting: a

ask runs=other
----
0 active, waiting: a, other

ask runs=b dedupe=reject key=k delay=1h priority=5
----
0 active, waiting: a, b, other

tick
----
granted a
b rejected by a
1 active, waiting: other
