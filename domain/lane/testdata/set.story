# a lane is paused, resumed and resized while it works
ask runs=a,b,c
----
0 active, waiting: a, b, c

set paused=yes
----
ok

tick
----
nothing starts
0 active, waiting: a, b, c

set paused=yes
----
refused: The lane is like that already; nothing was changed.

set limit=2
----
ok

tick
----
granted a, b
2 active, waiting: c

set
----
ok

tick
----
nothing starts
2 active, waiting: c

end run=a
----
1 active, waiting: c

tick
----
nothing starts
1 active, waiting: c

end run=b
----
0 active, waiting: c

tick
----
granted c
1 active, waiting:
