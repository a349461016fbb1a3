# a raised limit lets more start at once; a lowered one takes nothing away
ask runs=a,b,c,d
----
0 active, waiting: a, b, c, d

tick
----
granted a
1 active, waiting: b, c, d

lane concurrency=3
----
ok

tick
----
granted b, c
3 active, waiting: d

lane concurrency=1
----
ok

end run=a
----
2 active, waiting: d

tick
----
nothing starts
2 active, waiting: d
