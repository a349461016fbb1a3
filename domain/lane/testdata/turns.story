# namespaces take turns, and none has more than its share
lane concurrency=3 turns=yes per_namespace=2 per_job=1
----
ok

ask runs=a1,a2,a3,a4 namespace=a job=a/x
----
0 active, waiting: a1, a2, a3, a4

ask runs=b1,b2 namespace=b job=b/x
----
0 active, waiting: a1, a2, a3, a4, b1, b2

ask runs=a5 namespace=a job=a/y
----
0 active, waiting: a1, a2, a3, a4, b1, b2, a5

tick
----
granted a1, b1, a5
3 active, waiting: a2, a3, a4, b2

end run=a1
----
2 active, waiting: a2, a3, a4, b2

tick
----
granted a2
3 active, waiting: a3, a4, b2

end run=b1
----
2 active, waiting: a3, a4, b2

tick
----
granted b2
3 active, waiting: a3, a4
