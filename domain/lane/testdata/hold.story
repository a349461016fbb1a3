# a hold keeps its job from starting, not what runs and not others; "despite" starts
lane concurrency=9
----
ok

hold job=op/deploy from=10m until=20m reason=migration
----
ok

ask runs=a job=op/deploy
----
0 active, waiting: a

tick
----
granted a
1 active, waiting: 

wait for=10m
----
1 active, waiting: 

hold id=h2 job=op/deploy from=5m until=15m
----
ok

ask runs=b job=op/deploy
----
1 active, waiting: b

ask runs=c job=op/restart
----
1 active, waiting: b, c

tick
----
granted c
2 active, waiting: b

ask runs=urgent job=op/deploy despite=yes
----
2 active, waiting: b, urgent

tick
----
granted urgent
3 active, waiting: b

wait for=10m
----
3 active, waiting: b

tick
----
nothing starts
3 active, waiting: b

wait for=5m
----
3 active, waiting: b

tick
----
granted b
4 active, waiting:
