# two starts in any minute, whatever the slots
lane concurrency=5 rate=2 period=1m
----
ok

ask runs=a,b,c
----
0 active, waiting: a, b, c

tick
----
granted a, b
2 active, waiting: c

wait for=30s
----
2 active, waiting: c

tick
----
nothing starts before 10:01:00
2 active, waiting: c

wait for=30s
----
2 active, waiting: c

tick
----
granted c
3 active, waiting:
