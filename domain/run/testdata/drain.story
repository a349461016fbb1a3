# a draining runner lets go at a step's end
request
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

finish release="the runner drains"
----
commit 103
  StepFinished step 0 attempt 1
  ClaimReleased
waiting

show
----
waiting
  build    succeeded, 1 attempts, 0 failures
  test     pending, 0 attempts, 0 failures
  deploy   pending, 0 attempts, 0 failures

claim runner=r2
----
commit 104
  RunClaimed by r2
  StepStarted step 1 attempt 1 fence 0
running

finish
----
commit 105
  StepFinished step 1 attempt 1
  StepStarted step 2 attempt 1 fence 104
running

finish
----
commit 106
  StepFinished step 2 attempt 1
  RunEnded succeeded
succeeded
