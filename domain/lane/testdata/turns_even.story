# within one grant, too, the namespace goes first that had its turn longest ago
lane concurrency=4 turns=yes
----
ok

ask runs=a1,a2,a3 namespace=a job=a/x
----
0 active, waiting: a1, a2, a3

ask runs=b1,b2,b3 namespace=b job=b/x
----
0 active, waiting: a1, a2, a3, b1, b2, b3

ask runs=b0 namespace=b job=b/x priority=-1
----
0 active, waiting: b0, a1, a2, a3, b1, b2, b3

tick
----
granted b0, a1, b1, a2
4 active, waiting: a3, b2, b3

end run=b0
----
3 active, waiting: a3, b2, b3

end run=a1
----
2 active, waiting: a3, b2, b3

end run=b1
----
1 active, waiting: a3, b2, b3

tick
----
granted b2, a3, b3
4 active, waiting:
