# a runner holds it: cancel is a request, the end comes when its processes are dead
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

cancel reason="wrong version"
----
commit 103
  CancelRequested
running

cancel
----
nothing to do
running

show
----
running
  build    running, 1 attempts, 0 failures
  test     pending, 0 attempts, 0 failures
  deploy   pending, 0 attempts, 0 failures

fail cause=stopped error="stopped on request"
----
commit 104
  StepFailed step 0 attempt 1: stopped on request
  RunEnded cancelled: cancelled: wrong version
cancelled

show
----
cancelled: cancelled: wrong version
  build    failed, 1 attempts, 0 failures
  test     pending, 0 attempts, 0 failures
  deploy   pending, 0 attempts, 0 failures
