# equal requests that wait together are one execution, by the oldest; the newest says when
lane
----
ok

ask runs=a dedupe=merge key=k delay=1m max_delay=90s
----
0 active, waiting: a

wait for=40s
----
0 active, waiting: a

ask runs=b dedupe=merge key=k delay=1m max_delay=90s
----
0 active, waiting: a, b

wait for=40s
----
0 active, waiting: a, b

tick
----
nothing starts
0 active, waiting: a, b

ask runs=c dedupe=merge key=k delay=1m max_delay=90s
----
0 active, waiting: a, b, c

wait for=10s
----
0 active, waiting: a, b, c

tick
----
granted a
b merged by a
c merged by a
1 active, waiting: 

ask runs=d,e dedupe=merge key=k
----
1 active, waiting: d, e

tick
----
nothing starts
1 active, waiting: d, e

end run=a
----
0 active, waiting: d, e

tick
----
granted d
e merged by d
1 active, waiting:
