# a parsed request that is not allowed is a run that ended at once
request refuse="You may deploy checkout to staging, not production."
----
commit 101
  RunRequested
  RunRefused
refused

show
----
refused: You may deploy checkout to staging, not production.
  build    pending, 0 attempts, 0 failures
  test     pending, 0 attempts, 0 failures
  deploy   pending, 0 attempts, 0 failures

claim
----
refused: the run has already ended: refused
