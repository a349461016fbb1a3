# a slot of a released run waits for a runner no longer than its queue limit
request queue=1h
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

lapse
----
commit 103
  ClaimLapsed
waiting

wait for=1h
----
it is 11:00:00

expire
----
commit 104
  TimeoutRequested
  RunEnded timed_out: waited for a runner to resume for longer than 1h0m0s
timed out

show
----
timed out: waited for a runner to resume for longer than 1h0m0s
  build    running, 1 attempts, 0 failures
  test     pending, 0 attempts, 0 failures
  deploy   pending, 0 attempts, 0 failures
