# a step over its limit ends the run as timed out
request steps=build
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

fail cause=timeout error="took longer than 5m"
----
commit 103
  StepFailed step 0 attempt 1: took longer than 5m
  RunEnded timed_out: step build failed: took longer than 5m
timed out

show
----
timed out: step build failed: took longer than 5m
  build    failed, 1 attempts, 1 failures
