# a message is passed on once, however often it comes or is edited
hear ts=1
----
passed on C1/1 to C9

hear ts=1
----
nothing changes

hear ts=1 channel=C2
----
passed on C2/1 to C9

hear ts=2
----
passed on C1/2 to C9
