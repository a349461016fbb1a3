# one at a time, in the order of asking
ask runs=a,b,c
----
0 active, waiting: a, b, c

tick
----
granted a
1 active, waiting: b, c

tick
----
nothing starts
1 active, waiting: b, c

end run=a
----
0 active, waiting: b, c

tick
----
granted b
1 active, waiting: c

# a cancelled run leaves the queue, the next one moves up
cancel run=c
----
1 active, waiting: 

end run=b
----
0 active, waiting: 

tick
----
nothing starts
0 active, waiting:
