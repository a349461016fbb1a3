# a newer request took its place
request
----
commit 101
  RunRequested
queued

yield kind=superseded reason="j-newer was asked for later"
----
commit 102
  RunEnded cancelled: j-newer was asked for later
cancelled

cancel
----
nothing to do
cancelled
