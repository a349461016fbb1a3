# the runner is lost in the middle of step 2; another resumes there
request
----
commit 101
  RunRequested
queued

claim runner=r1
----
commit 102
  RunClaimed by r1
  StepStarted step 0 attempt 1 fence 0
running

finish
----
commit 103
  StepFinished step 0 attempt 1
  StepStarted step 1 attempt 1 fence 102
running

lapse
----
commit 104
  ClaimLapsed
waiting

show
----
waiting
  build    succeeded, 1 attempts, 0 failures
  test     running, 1 attempts, 0 failures
  deploy   pending, 0 attempts, 0 failures

claim runner=r2
----
commit 105
  RunClaimed by r2
  StepInterrupted step 1 attempt 1
  StepStarted step 1 attempt 2 fence 0
running

# the old one comes back: its word is refused
finish fence=102
----
refused: the claim under fence 102 is no longer held

finish
----
commit 106
  StepFinished step 1 attempt 2
  StepStarted step 2 attempt 1 fence 105
running

finish
----
commit 107
  StepFinished step 2 attempt 1
  RunEnded succeeded
succeeded

show
----
succeeded
  build    succeeded, 1 attempts, 0 failures
  test     succeeded, 2 attempts, 0 failures
  deploy   succeeded, 1 attempts, 0 failures
