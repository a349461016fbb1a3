# what makes no sense is refused; release ends what is held and what is to come
hold from=10m until=5m
----
refused: That hold would end before it begins. Give the start first, then the end; past midnight, give the date of the end.

hold from=-10m until=-5m
----
refused: That hold would be over already (it ends 2026-01-02 09:55 UTC). Nothing is held.

hold from=0m until=1000h
----
refused: A hold may last 30 days at most. To stop a lane until further notice, pause it: `slipway lanes set`.

release
----
refused: Nothing is held there, and nothing was changed.

hold from=-1m until=5m
----
ok

hold id=h2 from=1h until=2h
----
ok

ask runs=a
----
0 active, waiting: a

tick
----
nothing starts
0 active, waiting: a

release
----
ok

tick
----
granted a
1 active, waiting: 

wait for=1h30m
----
1 active, waiting: 

ask runs=b
----
1 active, waiting: b

end run=a
----
0 active, waiting: b

tick
----
granted b
1 active, waiting:
