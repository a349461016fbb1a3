# the person says: it failed; or nobody says anything until the deadline
request steps=migrate:1:ask
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

claim runner=r2
----
commit 104
  RunClaimed by r2
  StepInterrupted step 0 attempt 1
  StepAsked until 18:00:00
waiting

answer word=fail
----
commit 105
  StepAnswered
waiting

fail final error="answered that it failed"
----
commit 106
  StepFailed step 0 attempt 1: answered that it failed
  RunEnded failed: step migrate failed: answered that it failed
failed
