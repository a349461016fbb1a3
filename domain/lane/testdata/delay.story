# a delay keeps a run from starting, and lets others pass
lane concurrency=2
----
ok

ask runs=later delay=1m
----
0 active, waiting: later

ask runs=now
----
0 active, waiting: now, later

tick
----
granted now
1 active, waiting: later

wait for=59s
----
1 active, waiting: later

tick
----
nothing starts
1 active, waiting: later

wait for=1s
----
1 active, waiting: later

tick
----
granted later
2 active, waiting:
