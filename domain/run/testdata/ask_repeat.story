# the person says: repeat it
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

begin
----
refused: step migrate waits for an answer

answer word=repeat
----
commit 105
  StepAnswered
waiting

begin
----
commit 106
  StepStarted step 0 attempt 2 fence 104
running

finish
----
commit 107
  StepFinished step 0 attempt 2
  RunEnded succeeded
succeeded
