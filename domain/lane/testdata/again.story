# who waits again keeps its age, though its executing one was cancelled
lane
----
ok

ask runs=a,b dedupe=merge key=k
----
0 active, waiting: a, b

tick
----
granted a
b merged by a
1 active, waiting: 

wait for=1m
----
1 active, waiting: 

ask runs=other
----
1 active, waiting: other

void run=a
----
0 active, waiting: b, other

tick
----
granted b
1 active, waiting: other
