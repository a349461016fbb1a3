# nobody takes it for too long
request queue=24h
----
commit 101
  RunRequested
queued

wait for=23h
----
it is 09:00:00

expire
----
nothing to do
queued

wait for=1h
----
it is 10:00:00

expire
----
commit 102
  TimeoutRequested
  RunEnded timed_out: waited for a slot and a runner for longer than 24h0m0s
timed out

show
----
timed out: waited for a slot and a runner for longer than 24h0m0s
  build    pending, 0 attempts, 0 failures
  test     pending, 0 attempts, 0 failures
  deploy   pending, 0 attempts, 0 failures
