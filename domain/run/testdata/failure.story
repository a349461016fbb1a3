# without retries left the run fails, and says which step and why
request steps=build:2,test
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

fail error="exit code 2"
----
commit 103
  StepFailed step 0 attempt 1: exit code 2, again at 10:00:01
waiting

wait for=1s
----
it is 10:00:01

begin
----
commit 104
  StepStarted step 0 attempt 2 fence 102
running

fail error="exit code 2"
----
commit 105
  StepFailed step 0 attempt 2: exit code 2
  RunEnded failed: step build failed: exit code 2
failed

show
----
failed: step build failed: exit code 2
  build    failed, 2 attempts, 2 failures
  test     pending, 0 attempts, 0 failures

finish
----
refused: the run has already ended: failed
