# an interrupted step that must not be repeated blindly asks a person
request steps=build,migrate:1:ask
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

claim runner=r2
----
commit 105
  RunClaimed by r2
  StepInterrupted step 1 attempt 1
  StepAsked until 18:00:00
waiting

answer word=done
----
commit 106
  StepAnswered
waiting

answer word=repeat
----
refused: somebody else has answered already; nothing was changed

finish confirmed
----
commit 107
  StepFinished step 1 attempt 1
  RunEnded succeeded
succeeded

show
----
succeeded
  build    succeeded, 1 attempts, 0 failures
  migrate  succeeded, 1 attempts, 0 failures
