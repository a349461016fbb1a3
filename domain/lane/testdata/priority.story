# a lower number goes first; among equals the older
lane concurrency=2
----
ok

ask runs=a,b priority=5
----
0 active, waiting: a, b

ask runs=urgent priority=-1
----
0 active, waiting: urgent, a, b

tick
----
granted urgent, a
2 active, waiting: b
