# a message asks each runner that is alive; its name calls it where it is the only one of that name
ask key=m1 alive=r-1:anvil,r-2:forge
----
asks: r-1 as anvil, r-2 as forge

# the same message again, seen by a replica that knows of another runner: nothing changes
ask key=m1 alive=r-1:anvil,r-3:kiln
----
asked before: r-1 as anvil, r-2 as forge

# a runner that started again, while the lease of its incarnation before lasts, is one
ask key=m2 alive=r-1:anvil,r-1:anvil,r-2:forge
----
asks: r-1 as anvil, r-2 as forge

# two of one name are called by their ids
ask key=m3 alive=r-1:anvil,r-2:ANVIL,r-3:kiln
----
asks: r-3 as kiln, r-1 as r-1, r-2 as r-2

# nobody is alive
ask key=m4
----
asks: nobody

# and that is decided, too
ask key=m4 alive=r-1:anvil
----
asked before: nobody
