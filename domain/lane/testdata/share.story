# no slot stays empty because the first in the queue have their share already
lane concurrency=4 per_job=2 per_namespace=3
----
ok

ask runs=a namespace=a job=a/x
----
0 active, waiting: a

tick
----
granted a
1 active, waiting: 

ask runs=b,c,d namespace=a job=a/x
----
1 active, waiting: b, c, d

ask runs=e,f namespace=a job=a/y
----
1 active, waiting: b, c, d, e, f

ask runs=g,h namespace=b job=b/x
----
1 active, waiting: b, c, d, e, f, g, h

tick
----
granted b, e, g
4 active, waiting: c, d, f, h
