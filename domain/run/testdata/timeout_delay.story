# the wait for a slot begins when the run may start
request queue=1h delay=2h
----
commit 101
  RunRequested
queued

wait for=2h30m
----
it is 12:30:00

expire
----
nothing to do
queued

wait for=30m
----
it is 13:00:00

expire
----
commit 102
  TimeoutRequested
  RunEnded timed_out: waited for a slot and a runner for longer than 1h0m0s
timed out
