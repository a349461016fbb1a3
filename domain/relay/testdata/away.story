# while nobody is there, who calls is told so, on the first and the last day too
away from=2026-12-24 until=2026-12-26
----
away from 2026-12-24 to 2026-12-26

hear ts=1 day=2026-12-23
----
passed on C1/1 to C9

hear ts=2 day=2026-12-24
----
passed on C1/2 to C9, and said: away until 2026-12-26

hear ts=3 day=2026-12-26
----
passed on C1/3 to C9, and said: away until 2026-12-26

hear ts=4 day=2026-12-27
----
passed on C1/4 to C9

# the same again changes nothing, other days take its place
away from=2026-12-24 until=2026-12-26
----
nothing changes

away from=2026-12-25 until=2026-12-25
----
away from 2026-12-25 to 2026-12-25

back
----
back

back
----
nothing changes

hear ts=5 day=2026-12-25
----
passed on C1/5 to C9
