# the newest takes the place of those that wait, at once
lane
----
ok

ask runs=first
----
0 active, waiting: first

tick
----
granted first
1 active, waiting: 

ask runs=a,b,c dedupe=newest key=k
----
1 active, waiting: a, b, c

tick
----
a superseded by c
b superseded by c
1 active, waiting: c

end run=first
----
0 active, waiting: c

tick
----
granted c
1 active, waiting:
