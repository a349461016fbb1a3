# another run executes for this one: it ends with it, once
request
----
commit 101
  RunRequested
queued

yield
----
commit 102
  RunEnded merged: j-older executes for both
merged

yield
----
nothing to do
merged

claim
----
refused: the run has already ended: merged
