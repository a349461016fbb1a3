# a request without delay starts what an earlier one had put off; who cancels leaves the others alone
lane
----
ok

ask runs=a,b dedupe=merge key=k delay=1h max_delay=2h
----
0 active, waiting: a, b

ask runs=other
----
0 active, waiting: other, a, b

cancel run=a
----
0 active, waiting: other, b

ask runs=c dedupe=merge key=k
----
0 active, waiting: b, c, other

lane concurrency=3
----
ok

tick
----
granted b, other
c merged by b
2 active, waiting:
