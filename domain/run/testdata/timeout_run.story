# the run's own limit: a request to the holder, who stops its processes first
request timeout=10m
----
commit 101
  RunRequested
queued

claim
----
commit 102
  RunClaimed by r1
  StepStarted step 0 attempt 1 fence 0
running

expire
----
nothing to do
running

wait for=10m
----
it is 10:10:00

expire
----
commit 103
  TimeoutRequested
running

expire
----
nothing to do
running

fail cause=stopped error="stopped on request"
----
commit 104
  StepFailed step 0 attempt 1: stopped on request
  RunEnded timed_out: its limit passed at 2026-01-02T10:10:00Z
timed out

show
----
timed out: its limit passed at 2026-01-02T10:10:00Z
  build    failed, 1 attempts, 0 failures
  test     pending, 0 attempts, 0 failures
  deploy   pending, 0 attempts, 0 failures
