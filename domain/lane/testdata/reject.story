# a double is turned away while an equal one waits or runs
lane concurrency=2
----
ok

ask runs=a,b dedupe=reject key=k
----
0 active, waiting: a, b

tick
----
granted a
b rejected by a
1 active, waiting: 

ask runs=c dedupe=reject key=k
----
1 active, waiting: c

tick
----
c rejected by a
1 active, waiting: 

end run=a
----
0 active, waiting: 

ask runs=d dedupe=reject key=k
----
0 active, waiting: d

tick
----
granted d
1 active, waiting:
