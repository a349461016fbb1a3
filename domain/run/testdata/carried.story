# a retry carries the finished steps over and starts where the old run failed
request carried=0,1
----
commit 101
  RunRequested
queued

show
----
queued
  build    carried, 0 attempts, 0 failures
  test     carried, 0 attempts, 0 failures
  deploy   pending, 0 attempts, 0 failures

claim
----
commit 102
  RunClaimed by r1
  StepStarted step 2 attempt 1 fence 0
running

finish
----
commit 103
  StepFinished step 2 attempt 1
  RunEnded succeeded
succeeded
