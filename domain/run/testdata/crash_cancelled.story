# a cancelled run whose runner is lost ends with the claim: nothing of it lives
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

cancel
----
commit 103
  CancelRequested
running

lapse
----
commit 104
  ClaimLapsed
  RunEnded cancelled: cancelled on request
cancelled

show
----
cancelled: cancelled on request
  build    running, 1 attempts, 0 failures
  test     pending, 0 attempts, 0 failures
  deploy   pending, 0 attempts, 0 failures
